"""Whether confidence can be trusted, before and after it is calibrated: that of answers, and that of their fields.

    python -m benchmarks.quality.confidence --data DIR [--only banking77 restaurant8k] [--method classifier]
        [--answers 600] [--held-out 300] [--rows 500]

A model learns the first answers of a set's training part; the next ones, from which it has not learned, calibrate it,
as `finetune` does with its held-out answers; `--rows` of the test part judge. Nothing is chosen on them. An error of 0
is never seen on a number of rows: "at best" is what confidences that are right would show on as many.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import argument_parser, figure_table, finish
from benchmarks.quality import every_set, labels_of, taught
from sparklabel.benchmarking.entries import Entry
from sparklabel.benchmarking.suite import SetRows, read_set
from sparklabel.confidence.fit import JudgedAnswer, confidences, field_confidences, fit_calibrator
from sparklabel.evaluation.metrics.confidence import calibration_error, confidence_auroc
from sparklabel.labels.record import Label
from sparklabel.models.references import DEFAULT
from sparklabel.tasks import AnswerMode, is_one_choice
from sparklabel.training.call import LORA, METHODS

COLUMNS = (
    "rows", "right", "AUROC", "ECE", "calibrated", "at best", "fields", "fields right", "fields' AUROC", "fields' ECE",
    "fields calibrated",
)  # fmt: skip


def judged(mode: AnswerMode, rows: Sequence[Any], labels: Sequence[Label]) -> list[JudgedAnswer]:
    """The model's answers beside the right ones; rows that it could not answer are left out."""
    return JudgedAnswer.of_labels(mode, [gold for _, gold in rows], labels)


def figures(found: SetRows, name: str, arguments: argparse.Namespace) -> dict[str, float | None]:
    mode = found.task.answer_mode
    learned, held_out = arguments.answers, arguments.held_out
    entry = Entry(name="embedded", model=DEFAULT, method=arguments.method)
    calibrating, judging = found.train[learned : learned + held_out], found.test[: arguments.rows]
    with taught(name, found, entry, learned) as (spec, _):
        labels = labels_of(spec, [*calibrating, *judging])
    fitted_to = judged(mode, calibrating, labels[: len(calibrating)])
    asked = judged(mode, judging, labels[len(calibrating) :])
    calibrator = fit_calibrator(fitted_to, choices=is_one_choice(mode))
    right = np.array([answer.agreement for answer in asked])
    own, calibrated = np.array([answer.raw for answer in asked]), confidences(calibrator, asked)
    fields = np.array([share for answer in asked for _, share in answer.fields])
    before, after = field_confidences(None, asked), field_confidences(calibrator, asked)
    values = (
        len(asked), right.mean(), confidence_auroc(calibrated, right == 1), calibration_error(own, right),
        calibration_error(calibrated, right), at_best(calibrated), len(fields), fields.mean() if len(fields) else None,
        confidence_auroc(after, fields == 1), calibration_error(before, fields), calibration_error(after, fields),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def at_best(confidence: NDArray[np.float64]) -> float:
    """The mean calibration error of 200 draws in which each answer is right with the probability that is its
    confidence."""
    random = np.random.default_rng(0)
    drawn = (random.random(len(confidence)) < confidence for _ in range(200))
    return float(np.mean([calibration_error(confidence, right.astype(float)) for right in drawn]))


def shown(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def main() -> None:
    parser = argument_parser(__doc__, rows=500)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets' files")
    parser.add_argument("--only", nargs="+", default=["restaurant8k", "wnut17"], help="the sets")
    parser.add_argument("--method", choices=METHODS, default=LORA, help="how the model is trained")
    parser.add_argument("--answers", type=int, default=600, help="that it learns")
    parser.add_argument("--held-out", type=int, default=300, help="answers that calibrate it")
    arguments = parser.parse_args()
    suite, every = every_set(), dict[str, dict[str, float | None]]()
    for name in arguments.only:
        found = read_set(name, suite[name], arguments.data)
        every[name] = figures(found, name, arguments)
    table = figure_table(f"Confidence, {arguments.method}, {arguments.answers:,} answers", "set", *COLUMNS)
    for name, of_set in every.items():
        table.add_row(name, *map(shown, of_set.values()))
    finish(arguments, table, {"confidence": every})


if __name__ == "__main__":
    main()
