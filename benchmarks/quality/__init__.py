"""How good the answers are where `sparklabel benchmark` does not look: texts that give orders, weights of a mixture,
the confidence of fields, what a method chooses."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sparklabel import registry
from sparklabel.benchmarking.cells import Question, question_spec, taught_model
from sparklabel.benchmarking.entries import Entry
from sparklabel.benchmarking.suite import DataSet, SetRows, load_suite
from sparklabel.labels.record import Label
from sparklabel.udf import LabelerSpec, load_engine, make_labeler


def every_set() -> dict[str, DataSet]:
    """All data sets of conf/benchmark by name, those beside its figure included."""
    return load_suite(Path("conf/benchmark")) | load_suite(Path("conf/benchmark/more"))


@contextmanager
def taught(name: str, found: SetRows, entry: Entry, answers: int) -> Iterator[tuple[LabelerSpec, str]]:
    """The model that has learned a set's first answers, until the block ends, and how `method="auto"` chose. Each
    has an MLflow run of its own."""
    question = Question(
        set_name=name, rows=found, entry=entry, answers=answers, wanted=answers, metric="exact"
    )
    with (
        registry.start_run(question.title, experiment=registry.DEFAULT_EXPERIMENT) as run,
        taught_model(question, question_spec(question), run) as model,
    ):
        yield model


def labels_of(spec: LabelerSpec, rows: Sequence[Any]) -> list[Label]:
    """The model's labels of rows, which are pairs of texts and the right answer."""
    return make_labeler(spec, load_engine(spec.engine, spec.model)).label([list(texts) for texts, _ in rows])


def agreement(spec: LabelerSpec, found: SetRows) -> float:
    """The mean agreement with the test rows' answers: of one choice, the accuracy."""
    labels, agrees = labels_of(spec, found.test), spec.task.answer_mode.agreement
    return float(
        np.mean([agrees(gold, label.value) for (_, gold), label in zip(found.test, labels, strict=True)])
    )


def seeds_and_mean(values: Sequence[float]) -> str:
    """A cell: each seed's figure, and their mean."""
    return f"{' '.join(f'{one:.1f}' for one in values)} = {np.mean(values):.1f}"
