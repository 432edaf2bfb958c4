"""What a table remembers of each task in its properties: column, key, inputs, and the calibrators of confidence.

In: a table at a pinned version. Out: `RecordedTask`, of one task or of all.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sparklabel.confidence.calibrators import Calibrator, FittedCalibrator, calibrator_from_json
from sparklabel.delta.snapshot import TableSnapshot
from sparklabel.errors import TableError
from sparklabel.redaction import shortened
from sparklabel.sql import sql_string
from sparklabel.stored_records import read_record
from sparklabel.tasks import Task

TASK_PROPERTY = "sparklabel.task."
"""Followed by a task's name: the table property that holds the task's `RecordedTask`."""
_MAX_CALIBRATIONS = 4
"""Models that label a table in turn. A property is short: some catalogs cut it off."""


@dataclass(frozen=True, slots=True)
class RecordedTask:
    """What a table remembers of a task.

    Attributes:
        column: The column of its values.
        key: The key by which passes write them; empty in tables of an earlier release.
        calibrations: The calibrators of its confidences, one a model, the one that was noted last first.
        inputs: What the task reads of each row: `tidy` tells by it whose rows are gone.
    """

    column: str
    key: tuple[str, ...] = ()
    calibrations: tuple["Calibration", ...] = ()
    inputs: tuple[str, ...] = ()

    @classmethod
    def read(cls, content: str) -> "RecordedTask":
        """From the property's JSON. Fields that a newer release adds are ignored."""
        found = json.loads(content)
        return cls(
            str(found.get("column", "")),
            tuple(found.get("key", ())),
            tuple(read_record(Calibration, calibration) for calibration in found.get("calibrations", ())),
            tuple(found.get("inputs", ())),
        )

    def to_json(self) -> str:
        key = {"key": list(self.key)} if self.key else {}
        calibrated = [asdict(calibration) for calibration in self.calibrations]
        calibrations = {"calibrations": calibrated} if calibrated else {}
        inputs = {"inputs": list(self.inputs)} if self.inputs else {}
        return json.dumps({"column": self.column} | key | inputs | calibrations)

    def calibrator(self, model: str, fingerprint: str) -> FittedCalibrator | None:
        """The calibrator of a model, by its identity, and the task as it is asked."""
        known = (one for one in self.calibrations if one.asked == (model, fingerprint))
        return next((one.fitted for one in known), None)

    def calibrated(self, newest: Iterable["Calibration"]) -> tuple["Calibration", ...]:
        """The calibrations to remember with newer ones. Passes with models in turn write each of them once."""
        known = self.calibrations
        for one in newest:
            if one not in known:
                known = (one, *(other for other in known if other.asked != one.asked))
        return known[:_MAX_CALIBRATIONS]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibrator of a model's answers to a task, as a table remembers it: a later pass must not go on without it
    because MLflow has it no longer, or is another one.

    Attributes:
        model: The model's identity.
        fingerprint: That of the task as the model is asked it.
        run: The MLflow run that fitted it.
        calibrator: As JSON.
    """

    model: str
    fingerprint: str
    run: str
    calibrator: str

    @classmethod
    def of(cls, model: str, fingerprint: str, calibrator: Calibrator, run: str) -> "Calibration":
        return cls(model, fingerprint, run, json.dumps(calibrator.to_dict()))

    @property
    def asked(self) -> tuple[str, str]:
        """Who is asked what: of these, there is one calibrator."""
        return self.model, self.fingerprint

    @property
    def fitted(self) -> FittedCalibrator:
        return FittedCalibrator(calibrator_from_json(self.calibrator), self.run)


def recorded_task(target: TableSnapshot, task: Task) -> RecordedTask | None:
    """What the table remembers of the task; None before its first pass."""
    return _read(target, f"{TASK_PROPERTY}{task.name}")


def recorded_tasks(target: TableSnapshot) -> dict[str, RecordedTask]:
    """What the table remembers of each task, by name."""
    return {
        name.removeprefix(TASK_PROPERTY): found
        for name in target.properties
        if name.startswith(TASK_PROPERTY) and (found := _read(target, name))
    }


def _read(target: TableSnapshot, name: str) -> RecordedTask | None:
    if not (content := target.properties.get(name)):
        return None
    try:
        return RecordedTask.read(content)
    except (ValueError, TypeError, AttributeError):
        raise TableError(
            f"The property {name!r} of {target.name}, which says what a task has there, cannot be read: "
            f"{shortened(content, 100)}",
            hint="Was it edited? A pass writes it anew, without the task's calibration, once it is gone: "
            f"ALTER TABLE {target.sql} UNSET TBLPROPERTIES ({sql_string(name)})",
        ) from None


def recorded_column(target: TableSnapshot, task: Task) -> str | None:
    """The column of the task's values; None before its first pass."""
    recorded = recorded_task(target, task)
    return recorded.column if recorded else None
