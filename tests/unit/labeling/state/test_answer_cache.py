"""Which answers of the cache count: those to the same question."""

import json

import pytest

from sparklabel import classification
from sparklabel.engines.fake import ByteTokenizer
from sparklabel.errors import TableError
from sparklabel.labeler import PreparedTask
from sparklabel.labeling.options import StorageOptions
from sparklabel.labeling.state.answer_cache import open_cache
from sparklabel.models.manifest import ModelManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.prompts import bare_template
from sparklabel.udf import labeler_spec, prepare

pytestmark = pytest.mark.usefixtures("store")


def question(task=None, model="m", engine="fake", min_confidence=0.0, **options):
    task = task or classification("verdict", "text", ["fresh", "rotten"], "Judge.")
    spec = labeler_spec(task, model, engine, options, min_confidence)
    return open_cache(StorageOptions(), "/table", spec, prepare(spec).tasks).question


def test_the_same_question_is_known_again():
    assert question() == question()


@pytest.mark.parametrize(
    "other",
    [
        {"model": "another"},
        {"min_confidence": 0.5},
        {"fail_on": "x"},
        {"task": classification("verdict", "text", ["fresh", "rotten"], "Judge again.")},
        {"task": classification("verdict", "text", ["rotten", "fresh"], "Judge.")},
        {"task": classification("verdict", "text", ["fresh", "rotten"], "Judge.", prior="content_free")},
    ],
)
def test_whatever_changes_an_answer_makes_another_question(other):
    assert question(**other) != question()


def test_new_instructions_are_another_question_also_for_a_model_that_was_trained_with_the_old_ones():
    tasks = [classification("verdict", "text", ["a", "b"], how) for how in ("Judge.", "Judge again.")]
    tokenizer = ByteTokenizer()
    trained = PreparedTask.rendered(tasks[0], tokenizer, bare_template(tasks[0], tokenizer))
    manifest = ModelManifest(
        tasks[0].to_dict(), tasks[0].fingerprint, trained.template, tasks[0].label_names, trained.label_ids, {}
    )  # fmt: skip
    model = ResolvedModel(
        "models:/x/1", "artifact", "models:/x/1@sha256:0", "", manifest=json.dumps(manifest.to_dict())
    )
    first, second = (question(task, model) for task in tasks)
    assert first != second


def test_a_shared_folder_or_the_tables_own_holds_it():
    spec = labeler_spec(classification("verdict", "text", ["a", "b"]), "m", "fake", {})
    asked = prepare(spec).tasks
    assert open_cache(StorageOptions(), "/table/", spec, asked).path == "/table/_sparklabel/cache"
    assert open_cache(StorageOptions(cache="/shared"), "/table", spec, asked).path == "/shared/cache"
    assert open_cache(StorageOptions(cache=False), "/table", spec, asked) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"cache": "relative"},
        {"cache": 7},
        {"staging": "relative"},
        {"deletion_vectors": 1},
        {"allow_unsafe_store": "no"},
    ],
)
def test_what_is_no_folder_or_no_answer_is_refused(wrong):
    with pytest.raises(TableError, match=next(iter(wrong))):
        StorageOptions(**wrong)
