"""Does an instruction tuning over many tasks help with tasks that it was not taught?

    python -m benchmarks.quality.generalization --data DIR --work DIR [--rows 1500] [--judge-rows 150]
        [--parameters lora] [--learning-rate 1e-3]
        [--epochs 1] [--batch 8] [--few-shot 4]
        [--seed 0] [--out FILE]

The sets of `conf/benchmark` become Delta tables in the folder WORK; the embedded model learns from all but those that
are held out, and is judged on the held-out fifth of each. WORK keeps the tables, the packs, the checkpoints and the
MLflow store: a run that was stopped goes on when it is called again.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness import argument_parser, figure_table, finish
from benchmarks.quality import every_set

HELD_OUT = ("sst5", "abt_buy", "contract_nli", "math_topics", "wnut17")
"""And squad2, which has no training rows. No rating but sst5 is there, so that kind is not taught at all."""


def main() -> None:
    parser = argument_parser(__doc__, rows=1500)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets' files")
    parser.add_argument("--work", type=Path, required=True, help="what is kept between runs")
    parser.add_argument("--judge-rows", type=int, default=150)
    parser.add_argument("--parameters", default="lora", choices=["lora", "all"])
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8, help="packs in a step")
    parser.add_argument("--tokens", type=int, default=1024, help="in a pack")
    parser.add_argument("--few-shot", type=int, default=4, help="the most examples in a prompt")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="these sets alone")
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{work}/mlflow.db")
    import sparklabel as sl
    from sparklabel.benchmarking.suite import read_set

    spark = sl.spark_session()
    sources = []
    for name, data in every_set().items():
        if arguments.only and name not in arguments.only:
            continue
        found = read_set(name, data, arguments.data)
        is_unseen = name in HELD_OUT or not found.train
        task = found.task.model_copy(update={"name": name})
        rows = found.test if is_unseen else found.train  # test rows are never learned from
        table = work / "tables" / name
        if not (table / "_delta_log" / f"{0:020}.json").exists():
            columns = ", ".join(f"{column} STRING" for column in task.inputs)
            stored = float if task.value_type == "DOUBLE" else lambda answer: answer
            values = [(number, stored(answer), *inputs) for number, (inputs, answer) in enumerate(rows)]
            frame = spark.createDataFrame(values, f"id INT, answer {task.value_type}, {columns}")
            frame.write.format("delta").mode("overwrite").save(str(table))
        options = {"answers": "answer", "held_out": is_unseen, "max_rows": arguments.rows}
        sources.append(sl.source(str(table), task, key="id", **options))
    config = sl.TrainingConfig(
        parameters=arguments.parameters, learning_rate=arguments.learning_rate, epochs=arguments.epochs,
        batch_size=arguments.batch, seed=arguments.seed, max_tokens=arguments.tokens,
    )  # fmt: skip
    mixture = sl.mixture(sources, few_shot=(0, arguments.few_shot), seed=arguments.seed)
    # A name of its own: another run's champion would be what it has to beat.
    rate, way = config.learning_rate or "default", arguments.parameters
    name = f"labeler-{way}-{rate}-{arguments.epochs}-{arguments.rows}-{arguments.few_shot}-{arguments.seed}"
    report = sl.instruction_tune(
        spark, mixture, registered_name=name, config=config,
        judge_rows=arguments.judge_rows, num_processes=arguments.processes, checkpoints=str(work / "trainings"),
        checkpoint_minutes=5,
    )  # fmt: skip
    print(report)
    found = report.generalization
    assert found is not None, "sets with held-out rows"
    assert report.baseline == "the base"
    table = figure_table("accuracy in %", "task", "rows", "new", "base", "gain")
    for one in found.tasks:
        shown = [f"{100 * value:.1f}" for value in (one.accuracy_new, one.accuracy_old, one.gain)]
        table.add_row(f"{one.task}{' (unseen)' if one.is_unseen else ''}", str(one.n), *shown)
    finish(arguments, table, json.loads(json.dumps(asdict(report), default=str)))


if __name__ == "__main__":
    main()
