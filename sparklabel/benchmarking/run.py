"""`benchmark`: each model on each data set of a suite, untrained and taught by a number of answers.

In: a suite, models, numbers of answers. Out: a `BenchmarkReport`, files in a folder, and a run in MLflow with one below
it for each cell. A cell that was measured before is taken from the folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.arguments import check_flags
from sparklabel.benchmarking.cells import (
    Cell,
    Question,
    check_metric,
    keep_cell,
    kept_cell,
    question_spec,
    taught,
    untrained,
)
from sparklabel.benchmarking.charts import draw_charts
from sparklabel.benchmarking.entries import Entry, named_entries
from sparklabel.benchmarking.page import html_page
from sparklabel.benchmarking.report import BenchmarkReport
from sparklabel.benchmarking.suite import DataSet, SetRows, load_suite, read_set
from sparklabel.benchmarking.tables import table_rows
from sparklabel.errors import SetupError, SparklabelError
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.models.references import DEFAULT
from sparklabel.progress import LOG, tell
from sparklabel.redaction import first_line, printable, typed_line

EXPERIMENT = "sparklabel-benchmark"


def benchmark(
    suite: str | Path,
    *,
    models: Sequence[Any] = (DEFAULT,),
    answers: Sequence[int] = (0,),
    data: str | Path | None = None,
    only: Sequence[str] | None = None,
    rows: int = 1000,
    out: str | Path = "benchmark",
    config: TrainingConfig | None = None,
    allow_shared: bool = False,
    spark: SparkSession | None = None,
    experiment: str = EXPERIMENT,
) -> BenchmarkReport:
    """Measures models on the data sets of a suite: which one for my table, and how many answers does it take?

    Each model is asked about each set's test rows, as it is (0 answers) and after it was taught so many of the training
    rows' answers, by `finetune`'s own methods. Training rows and test rows are in an order that a fixed seed drew: more
    answers are the fewer ones and others. Nothing is registered or promoted.

    What was measured is kept in `out`, a cell at a time: a benchmark that was killed goes on when it is called again,
    and one with more models or sets computes those.

    Args:
        suite: A folder of YAML files, one a data set; conf/benchmark is one.
        models: References; or mappings with `model` and, if wanted, `name`, `engine`, `options`, `method` ("lora",
            "classifier" or "auto": how answers teach it), `cost_per_hour`, `cost_per_million_tokens`.
        answers: How many answers teach each model; 0 is the model as it is. Of a set with fewer, all do.
        data: The folder with the sets' files; by default the suite's.
        only: The sets to measure, by name; by default all.
        rows: At most so many test rows of each set.
        out: The folder for cells, table, charts and page.
        config: How LoRA trains.
        allow_shared: Measure also where inputs of test rows are among the training rows.
        spark: The session that reads sets whose rows are in tables.
        experiment: The MLflow experiment to log to.

    Returns:
        All cells; `print` it for the table.

    Raises:
        SetupError: The suite, the models, the numbers or the folder are wrong, a set's rows cannot be read, test rows
            are among the training rows, or MLflow is not available.
        TaskError: A set's task is none.

    A model that fails on a set has a cell that says why, and the others go on.

    Example:
        ```python
        print(sl.benchmark("my-suite", models=["org/model"], answers=[0, 600], spark=spark))
        ```
    """
    entries, numbers = named_entries(models), _numbers(answers, rows)
    check_flags(SetupError, allow_shared=allow_shared)
    if find_spec("matplotlib") is None:
        raise SetupError(
            "The charts of a benchmark need matplotlib.", hint="Install it: pip install 'sparklabel[train]'."
        )
    folder, to = Path(suite), Path(out)
    sets = _chosen(load_suite(folder), only)
    read = {
        name: _rows(name, one, Path(data) if data else folder, rows, numbers[-1], allow_shared, spark)
        for name, one in sets.items()
    }
    (to / "cells").mkdir(parents=True, exist_ok=True)
    with registry.start_run(f"benchmark {folder.name}", experiment=experiment) as run:
        run.log_params(
            {"suite": str(folder), "models": ", ".join(entry.name for entry in entries), "rows": rows}
        )
        questions = _questions(sets, read, entries, numbers, config)
        cells = [_measured(question, to / "cells", run, experiment) for question in questions]
        report = BenchmarkReport(cells=tuple(cells), folder=to, run_id=run.id)
        published = {name: one.published for name, one in sets.items()}
        table = {"table.csv": report.csv().encode()}
        (to / "table.csv").write_bytes(table["table.csv"])  # at once: a chart may fail
        files = table | draw_charts(cells, published)
        files["page.html"] = html_page(folder.name, cells, sets, files).encode()
        for name, content in files.items():
            (to / name).write_bytes(content)
        registry.log_files(run.id, files)
    return report


def _numbers(answers: Sequence[int], rows: int) -> list[int]:
    if type(rows) is not int or rows < 1:
        raise SetupError(f"rows={rows!r} is not a whole number above 0.")
    if not answers or any(type(one) is not int or one < 0 for one in answers):
        raise SetupError(
            f"answers={answers!r} are not whole numbers from 0.", hint="For example [0, 100, 600]."
        )
    return sorted(set(answers))


def _chosen(sets: Mapping[str, DataSet], only: Sequence[str] | None) -> dict[str, DataSet]:
    if missing := [name for name in only or () if name not in sets]:
        raise SetupError(f"The suite has no data set {missing[0]!r}.", hint=f"It has: {', '.join(sets)}.")
    return {name: one for name, one in sets.items() if only is None or name in only}


def _rows(
    name: str,
    one: DataSet,
    data: Path,
    most: int,
    learned: int,
    allow_shared: bool,
    spark: SparkSession | None,
) -> SetRows:
    found = table_rows(name, one, spark) if one.table else read_set(name, one, data)
    if found.shared and learned and not allow_shared:
        raise SetupError(
            f"{found.shared:,} of {len(found.test):,} test rows of the data set {name!r} have the inputs of training "
            "rows.",
            hint="Remove them from one of the parts, or measure all the same: allow_shared=True (--allow-shared).",
        )
    return replace(found, train=found.train[:learned], test=found.test[:most])


def _questions(
    sets: Mapping[str, DataSet],
    read: Mapping[str, SetRows],
    entries: Sequence[Entry],
    numbers: Sequence[int],
    config: TrainingConfig | None,
) -> Iterator[Question]:
    for name, one in sets.items():
        there: dict[int, int] = {}  # how many answers there are, and the least number that asks for as many
        for number in numbers:
            there.setdefault(min(number, len(read[name].train)), number)
        if 0 not in numbers:
            there.pop(0, None)  # a set without training rows
        for entry in entries:
            for answers, wanted in there.items():
                if entry.can_learn or not answers:
                    yield Question(
                        set_name=name, rows=read[name], entry=entry, answers=answers, wanted=wanted, metric=one.metric,
                        config=config,
                    )  # fmt: skip


def _measured(question: Question, folder: Path, parent: registry.Run, experiment: str) -> Cell:
    """The cell from the folder, or measured now; one without figures, with the reason, if the model fails."""
    entry = question.entry
    try:
        check_metric(question)
        spec = question_spec(question)
        file = folder / f"{question.set_name}-{question.key(spec)}.json"
        cell = kept_cell(file)
        if cell is None:
            tags = {"mlflow.parentRunId": parent.id}
            with registry.start_run(question.title, experiment=experiment, tags=tags) as run:
                run.log_params(
                    {"set": question.set_name, "model": entry.model, "method": entry.method,
                     "answers": question.answers}
                )  # fmt: skip
                cell = taught(question, spec, run) if question.answers else untrained(question, spec)
                keep_cell(cell, file)
                run.log_metrics(
                    {**cell.figures, "rows_per_second": cell.rows_per_second, "prompt_tokens": cell.prompt_tokens,
                     "train_seconds": cell.train_seconds}
                )  # fmt: skip
        cell = replace(cell, entry=entry.name, set_name=question.set_name, wanted=question.wanted)
        cell = cell.priced(entry.pricing)
        LOG.info(printable(str(cell)))
        return cell
    except Exception as error:  # noqa: BLE001 whatever it is: the other cells are worth having
        reason = error.message if isinstance(error, SparklabelError) else typed_line(error)
        tell(f"{question.title}: {first_line(reason)}")
        return Cell(
            set_name=question.set_name, entry=question.entry.name, answers=question.answers, wanted=question.wanted,
            metric=question.metric, error=printable(first_line(reason)),
        )  # fmt: skip
