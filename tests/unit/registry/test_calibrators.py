"""Where calibrators are found, and where not. Against a real MLflow on SQLite."""

from contextlib import suppress

import mlflow
import pytest

from sparklabel import registry
from sparklabel.confidence.calibrators import Temperature
from sparklabel.errors import ModelError

pytestmark = pytest.mark.usefixtures("store")
MODEL, TASK = "hf:org/model@0", "v1:0"


def fitted(temperature, model=MODEL, experiment=registry.DEFAULT_EXPERIMENT):
    with registry.start_run("calibrate", experiment=experiment) as run:
        registry.log_calibrator(run, model, TASK, Temperature(temperature))
    return run.id


def test_the_newest_one_is_found_with_its_run():
    fitted(2.0)
    run = fitted(3.0)
    found = registry.find_calibrator(MODEL, TASK)
    assert (found.calibrator, found.run_id) == (Temperature(3.0), run)


def test_one_in_another_experiment_is_a_strangers():
    model = "hf:org/another@0"
    fitted(0.01, model, experiment="a colleague's")
    assert registry.find_calibrator(model, TASK) is None
    assert registry.find_calibrator(model, TASK, "a colleague's").calibrator == Temperature(0.01)


def test_a_registered_versions_is_what_its_own_tag_says(log, adapter_folder, store, base):
    model = registry.resolve(
        f"models:/tagged/{log(adapter_folder(store / 'tagged', base), 'tagged')}"
    ).identity
    run = fitted(2.0, model, experiment="far away")
    client = mlflow.MlflowClient()
    with registry.start_run("a stranger's", experiment=registry.DEFAULT_EXPERIMENT) as other:
        other.set_tags(client.get_run(run).data.tags | {"sparklabel.calibrator": '{"method": "temperature"}'})
    found = registry.find_calibrator(model, TASK)
    assert (found.calibrator, found.run_id) == (Temperature(2.0), run)
    assert registry.find_calibrator(model, "v1:another task") is None


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_versions_tag_that_is_not_a_calibrator_is_named(content):
    client = mlflow.MlflowClient()
    with suppress(mlflow.MlflowException):
        client.create_registered_model("mistagged")
    version = client.create_model_version("mistagged", "file:///nowhere").version
    client.set_model_version_tag("mistagged", version, f"sparklabel.calibrator.{TASK}", content)
    with pytest.raises(ModelError, match="in its version's tag cannot be read"):
        registry.find_calibrator(f"models:/mistagged/{version}", TASK)


def test_there_is_none_where_the_experiment_was_deleted():
    model = "hf:org/deleted@0"
    fitted(2.0, model, experiment="to delete")
    client = mlflow.MlflowClient()
    client.delete_experiment(client.get_experiment_by_name("to delete").experiment_id)
    assert registry.find_calibrator(model, TASK, "to delete") is None
