"""What the driver reads of a registered version before it has the files: its manifest, and the base that this names.
Against a real MLflow on SQLite."""

import json
from pathlib import Path

import mlflow
import pytest

from sparklabel import registry
from sparklabel.errors import ModelError
from sparklabel.hashing import file_sha256
from sparklabel.models.base_record import base_record, recorded_base
from sparklabel.models.references import ResolvedModel

# MLflow's own use of SQLAlchemy; nothing that we can change.
pytestmark = pytest.mark.usefixtures("store")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = ResolvedModel("org/tiny", "hub", f"org/tiny@{COMMIT}", "org/tiny", revision=COMMIT)


@pytest.fixture
def version(request, base, tmp_path, adapter_folder, log):
    """The reference of a version of its own, for the test to spoil."""
    name = request.node.name.partition("[")[0][:80]
    return f"models:/{name}/{log(adapter_folder(tmp_path / 'tuned', base), name)}"


@pytest.fixture
def evil(tmp_path, model_folder):
    """A model that whoever can write the artifact store would like the driver to load."""
    return registry.resolve(str(model_folder(tmp_path / "evil", 9.0)))


def stored_manifest(reference):
    _, name, number = reference.split("/")
    return Path(mlflow.MlflowClient().get_model_version_download_uri(name, number)) / registry.MANIFEST


def redirect(reference, base):
    """Makes the manifest in the artifact store name another base."""
    file = stored_manifest(reference)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base": base_record(base)}))


def without_the_manifests_hash(reference):
    """The version as releases before the tag registered it."""
    _, name, number = reference.split("/")
    mlflow.MlflowClient().delete_model_version_tag(name, number, "sparklabel.card_sha256")


def test_a_manifest_that_names_another_base_in_the_store_is_refused_before_the_base_is_looked_for(
    version, evil
):
    redirect(version, evil)
    with pytest.raises(ModelError, match=r"The manifest of .* is not the one that was registered"):
        registry.resolve(version)


def test_a_manifest_that_changed_is_refused_even_when_the_files_are_cached(version):
    registry.fetch(registry.resolve(version))
    manifest = stored_manifest(version)
    manifest.write_text(manifest.read_text().replace("verdict", "other"))
    with pytest.raises(ModelError, match=r"The manifest of .* is not the one that was registered"):
        registry.resolve(version)


def test_a_version_older_than_the_manifests_hash_resolves_to_the_same_model(version):
    pinned = registry.resolve(version)
    without_the_manifests_hash(version)
    assert registry.resolve(version) == pinned


def test_the_manifest_of_an_older_version_is_checked_with_all_of_its_files(version, evil):
    without_the_manifests_hash(version)
    redirect(version, evil)
    with pytest.raises(ModelError, match="are not those that were registered"):
        registry.resolve(version)


def test_a_manifest_of_a_newer_format_is_refused(version):
    _, name, number = version.split("/")
    file = stored_manifest(version)
    file.write_text('{"format": 4}')
    mlflow.MlflowClient().set_model_version_tag(name, number, "sparklabel.card_sha256", file_sha256(file))
    with pytest.raises(ModelError, match="made by a newer sparklabel"):
        registry.resolve(version)


def test_a_base_on_the_hub_is_the_commit_that_was_recorded():
    assert recorded_base("models:/m/1", base_record(HUB)) == HUB


@pytest.mark.parametrize(
    "change",
    [
        {"revision": "main"},
        {"revision": "0" * 40},
        {"location": "mallory/model"},
        {"location": "../../model"},
        {"source": "named"},
        {"source": "artifact"},
        {"source": "folder"},
        {"source": "folder", "sha256": "0" * 64},
        {"source": "embedded", "sha256": "0" * 64},
        {"revision": None},
        {"tracking_uri": "http://mallory"},
    ],
    ids=str,
)
def test_a_record_that_does_not_pin_its_base_is_refused(change):
    with pytest.raises(ModelError, match=r"The manifest of 'models:/m/1' (does not name its|names a) base"):
        recorded_base("models:/m/1", base_record(HUB) | change)


def test_a_record_that_lacks_a_field_is_refused():
    with pytest.raises(ModelError, match="does not name its base"):
        recorded_base("models:/m/1", {"source": "hub", "reference": "org/tiny"})


def test_a_folder_is_recorded_by_its_whole_path(base):
    record = base_record(base)
    with pytest.raises(ModelError, match="names a base that nothing pins"):
        recorded_base("models:/m/1", record | {"location": "base", "reference": "base"})
    assert recorded_base("models:/m/1", record) == base


def test_a_base_that_changed_is_refused_by_both_names(tmp_path, adapter_folder, model_folder, log):
    before = registry.resolve(str(model_folder(tmp_path / "mybase")))
    log(adapter_folder(tmp_path / "tuned", before), "moved")
    model_folder(tmp_path / "mybase", value=2.0)
    after = registry.resolve(str(tmp_path / "mybase"))
    with pytest.raises(ModelError) as caught:
        registry.resolve("models:/moved/1")
    assert before.identity in caught.value.message
    assert after.identity in caught.value.message


def test_a_base_that_is_gone_is_named(tmp_path, adapter_folder, model_folder, log):
    before = registry.resolve(str(model_folder(tmp_path / "mybase")))
    log(adapter_folder(tmp_path / "tuned", before), "orphan")
    (tmp_path / "mybase").rename(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="which is not here"):
        registry.resolve("models:/orphan/1")
