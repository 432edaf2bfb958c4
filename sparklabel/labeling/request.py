"""What was asked of one pass.

In: a user's arguments, checked. Out: a frozen record that everything later carries along: the plan, the running pass,
its commits. Makes and reads nothing.
"""

import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sparklabel import registry
from sparklabel.labeling.limits import PassLimits
from sparklabel.labeling.options import Pricing, StorageOptions
from sparklabel.table.recorded_tasks import Calibration
from sparklabel.table.row_states import Scope
from sparklabel.table.task_table import TaskTable
from sparklabel.tasks import Task
from sparklabel.udf import LabelerSpec


@dataclass(frozen=True, slots=True)
class PassRequest:
    """One pass over one table with one task.

    Attributes:
        table: Pinned.
        experiment: The name of the MLflow experiment.
        adopt_examples: Examples may come from a column that no pass wrote.
        call_began: When the call began that asks for this pass, and maybe for others, by `time.monotonic`.
    """

    spec: LabelerSpec
    table: TaskTable
    scope: Scope = field(default_factory=Scope)
    limits: PassLimits = field(default_factory=PassLimits)
    pricing: Pricing = field(default_factory=Pricing)
    storage: StorageOptions = field(default_factory=StorageOptions)
    experiment: str = registry.DEFAULT_EXPERIMENT
    adopt_examples: bool = False
    pass_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    call_began: float = field(default_factory=time.monotonic)

    @property
    def task(self) -> Task:
        return self.spec.task

    @property
    def model(self) -> str:
        """What commits carry: the model's identity, or the names of both."""
        return self.spec.name

    @property
    def calibrations(self) -> list[Calibration]:
        """What the table should remember of the calibrators that this pass uses."""
        return [
            Calibration.of(spec.model.identity, spec.fingerprint, spec.calibrator, spec.calibrator_run)
            for spec in self.spec.in_turn
            if spec.calibrator is not None
        ]

    @property
    def seconds(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self.call_began

    @property
    def title(self) -> str:
        """What the progress bar calls the pass."""
        return f"{self.table.target.name}: {self.task.name}"

    def facts(self, step: str) -> dict[str, Any]:
        """What a commit of this pass says about it, as JSON in the commit's userMetadata. These names are stored."""
        facts = {
            "pass_id": self.pass_id,
            "step": step,
            "began": self.began_at.isoformat(),
            "task": self.task.name,
            "model": self.model,
            "task_fingerprint": self.task.fingerprint,
            "min_confidence": self.spec.min_confidence,
            "column": self.table.label_columns.value,
            "key": list(self.table.keys),
            "version_before": self.table.target.version,
            "where": self.scope.where,
            "relabel": self.scope.relabel,
        }
        shard = {"shard": list(self.scope.shard)} if self.scope.shard else {}
        fallback = {"fallback_below": self.spec.fallback.below} if self.spec.fallback else {}
        return (
            facts | fallback | shard | ({"examples": self.spec.examples.facts} if self.spec.examples else {})
        )

    def run_params(self) -> dict[str, Any]:
        """The parameters of the pass's MLflow run."""
        return {
            "pass_id": self.pass_id,
            "model": self.model,
            "engine": ", ".join(str(spec.engine) for spec in self.spec.in_turn),
            "task_fingerprint": self.task.fingerprint,
            "calibrator_run": self.spec.calibrator_run,
            "where": self.scope.where,
            "relabel": self.scope.relabel,
        }


def calibrated_spec(spec: LabelerSpec, table: TaskTable) -> LabelerSpec:
    """The spec with the calibrator that MLflow has, or else with the one that the table's confidences were calibrated
    with: a table never gets confidences of two kinds because a store was not there."""
    if spec.fallback is not None:
        fallback = replace(spec.fallback, spec=calibrated_spec(spec.fallback.spec, table))
        spec = replace(spec, fallback=fallback)
    if spec.calibrator is not None:
        return spec
    return spec.calibrated(table.calibrator(spec.task, spec.model.identity, spec.fingerprint))
