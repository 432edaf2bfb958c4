"""Whether the confidence of fields and entities can be trusted, before and after it is calibrated.

    python -m benchmarks.quality.fields --data DIR [--only restaurant8k wnut17] [--answers 600] [--held-out 300]
        [--rows 500]

The embedded model learns the first answers of a set's training part; the next ones, which it has not learned from,
calibrate it, as `finetune` does with its held-out answers; `--rows` of the test part judge. Nothing is chosen on them.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import argument_parser, figure_table, finish
from benchmarks.quality import every_set
from sparklabel import registry
from sparklabel.benchmarking.cells import Question, question_spec, taught_model
from sparklabel.benchmarking.entries import Entry
from sparklabel.benchmarking.suite import SetRows, read_set
from sparklabel.confidence.fit import JudgedAnswer, confidences, field_confidences, fit_calibrator
from sparklabel.evaluation.metrics.confidence import calibration_error, confidence_auroc
from sparklabel.labeler import Labeler
from sparklabel.models.references import DEFAULT
from sparklabel.training.call import LORA
from sparklabel.udf import load_engine, make_labeler


def judged(labeler: Labeler, rows: Any, mode: Any) -> list[JudgedAnswer]:
    """The model's answers beside the right ones; rows that it could not answer are left out."""
    labels = labeler.label([list(inputs) for inputs, _ in rows])
    return JudgedAnswer.of_labels(mode, [gold for _, gold in rows], labels)


def figures(found: SetRows, name: str, arguments: argparse.Namespace, run: registry.Run) -> dict[str, float]:
    mode = found.task.answer_mode
    learned, held_out = arguments.answers, arguments.held_out
    question = Question(
        set_name=name, rows=found, entry=Entry(name="embedded", model=DEFAULT, method=LORA), answers=learned,
        wanted=learned, metric="exact",
    )  # fmt: skip
    with taught_model(question, question_spec(question), run) as (spec, _):
        labeler = make_labeler(spec, load_engine(spec.engine, spec.model))
        fitted_to = judged(labeler, found.train[learned : learned + held_out], mode)
        asked = judged(labeler, found.test[: arguments.rows], mode)
    calibrator = fit_calibrator(fitted_to, choices=False)
    right = np.array([share for answer in asked for _, share in answer.fields])
    whole = np.array([answer.agreement for answer in asked])
    before, after = field_confidences(None, asked), field_confidences(calibrator, asked)
    return {
        "rows": len(asked), "fields": len(right), "right": float(right.mean()),
        "field AUROC": confidence_auroc(after, right == 1) or 0.0,
        "field ECE before": calibration_error(before, right) or 0.0,
        "field ECE after": calibration_error(after, right) or 0.0,
        "answer ECE after": calibration_error(confidences(calibrator, asked), whole) or 0.0,
    }  # fmt: skip


def main() -> None:
    parser = argument_parser(__doc__, rows=500)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets' files")
    parser.add_argument("--only", nargs="+", default=["restaurant8k", "wnut17"])
    parser.add_argument("--answers", type=int, default=600)
    parser.add_argument("--held-out", type=int, default=300)
    arguments = parser.parse_args()
    suite = every_set()
    every: dict[str, dict[str, float]] = {}
    with registry.start_run("confidence of fields", experiment=registry.DEFAULT_EXPERIMENT) as run:
        for name in arguments.only:
            found = read_set(name, suite[name], arguments.data)
            every[name] = figures(found, name, arguments, run)
    table = figure_table("Confidence of fields", "set", *next(iter(every.values())))
    for name, of_set in every.items():
        table.add_row(
            name, *(f"{value:,}" if isinstance(value, int) else f"{value:.3f}" for value in of_set.values())
        )
    finish(arguments, table, {"fields": every})


if __name__ == "__main__":
    main()
