"""Which answers of the cache count: those to the same question."""

import pytest

from sparklabel import classification
from sparklabel.errors import TableError
from sparklabel.table.cache import open_cache
from sparklabel.table.storage import Storage
from sparklabel.udf import check_askable, labeler_spec


def question(task=None, model="m", engine="fake", min_confidence=0.0, **options):
    task = task or classification("verdict", "text", ["fresh", "rotten"], "Judge.")
    spec = labeler_spec(task, model, engine, options, min_confidence)
    return open_cache(Storage(), "/table", spec, check_askable(spec)).question


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


def test_a_shared_folder_or_the_tables_own_holds_it():
    spec = labeler_spec(classification("verdict", "text", ["a", "b"]), "m", "fake", {})
    asked = check_askable(spec)
    assert open_cache(Storage(), "/table/", spec, asked).path == "/table/_sparklabel/cache"
    assert open_cache(Storage(cache="/shared"), "/table", spec, asked).path == "/shared/cache"
    assert open_cache(Storage(cache=False), "/table", spec, asked) is None


@pytest.mark.parametrize(
    "wrong", [{"cache": "relative"}, {"cache": 7}, {"staging": "relative"}, {"deletion_vectors": 1}]
)
def test_what_is_no_folder_or_no_answer_is_refused(wrong):
    with pytest.raises(TableError, match=next(iter(wrong))):
        Storage(**wrong)
