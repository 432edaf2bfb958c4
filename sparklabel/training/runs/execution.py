"""What a worker does for a run that it has claimed: a candidate, the best candidate, or a training without a search.

In: a claimed run, how it is followed. Out: its accuracy; MLflow has the rest.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.cache_dir import cache_folder
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.training.call import CLASSIFIER, FinetuneCall
from sparklabel.training.candidate import judge_candidate
from sparklabel.training.control import RunControl
from sparklabel.training.finetune import run_call
from sparklabel.training.runs.records import RunKind
from sparklabel.training.runs.search import BASE
from sparklabel.training.runs.submission import ClaimedRun


def execute(spark: SparkSession, claimed: ClaimedRun, control: RunControl) -> float | None:
    """Trains and judges. Returns the accuracy; None if there was nothing to judge on."""
    call = FinetuneCall.from_dict(claimed.submission.call)
    # So that it goes on where it was, on this host.
    if call.checkpoints is None and call.method != CLASSIFIER:
        call = replace(call, checkpoints=str(cache_folder("trainings")))
    if claimed.run.kind == RunKind.CANDIDATE:
        return judge_candidate(spark, varied(call, claimed.run.params), control)
    report = run_call(spark, varied(call, claimed.run.params), control)
    return report.gate.accuracy_new if report.gate.n else None


def varied(call: FinetuneCall, params: Mapping[str, Any]) -> FinetuneCall:
    """The call with a candidate's settings."""
    settings = {name: value for name, value in params.items() if name != BASE}
    config = replace(call.config or TrainingConfig(), **settings) if settings else call.config
    return replace(call, base=params.get(BASE, call.base), config=config)


def record_choice(parent: str, chosen: str, params: Mapping[str, Any]) -> None:
    """Logs to the submission's MLflow run which candidate was chosen. Raises SetupError."""
    with registry.start_run("", experiment="", run_id=parent) as run:
        run.log_params({"best_run": chosen} | {f"best.{name}": value for name, value in params.items()})
