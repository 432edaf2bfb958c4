"""A model that was fine-tuned on an earlier version of the task: its pass says that it keeps the prompt of then."""

import json

import pytest

from sparklabel import classification
from sparklabel.labeling.build_report import build_report, dry_run_report
from sparklabel.labeling.outcome import PassOutcome
from sparklabel.labeling.plan import PassPlan
from sparklabel.labeling.request import PassRequest
from sparklabel.models.manifest import ModelManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.prompts import PromptTemplate
from sparklabel.table.task_table import open_task_table
from sparklabel.udf import labeler_spec

pytestmark = pytest.mark.usefixtures("mlflow_store")  # a registered model's calibrator is looked for there
EARLIER = classification("verdict", "text", ["fresh", "rotten"], "Say how the film was.")
NOTE = "models:/x/1@sha256:0 was fine-tuned with an earlier version of the task and still uses"


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("changed", [True, False])
def test_changed_instructions_that_do_not_count_are_reported(spark, small, task, changed, dry_run):
    then = EARLIER if changed else task
    manifest = ModelManifest(
        then.to_dict(), then.fingerprint, PromptTemplate(()), then.label_names, ((1,), (2,)), {}
    )
    model = ResolvedModel(
        "models:/x/1", "artifact", "models:/x/1@sha256:0", "", manifest=json.dumps(manifest.to_dict())
    )
    spec = labeler_spec(task, model, "fake", {})
    plan = PassPlan(PassRequest(spec, open_task_table(spark, small, task, "id")), {"new": 6})
    report = dry_run_report(plan, 1.0) if dry_run else build_report(plan, PassOutcome(1, 1.0))
    assert (NOTE in str(report)) is changed
