"""What people said in a review, in a real table: written once, guarded, taken back."""

from types import SimpleNamespace

import pytest

from sparklabel.labels.record import input_hash
from sparklabel.reviewing.records import Before, Event
from sparklabel.reviewing.resolve import resolve
from sparklabel.reviewing.table.changes import before_of
from sparklabel.reviewing.table.label_decisions import ANSWERED_BY_OTHERS
from sparklabel.reviewing.table.label_merge import REVIEW, Merged
from sparklabel.reviewing.table.worker import TableWorker
from sparklabel.table.history import passes
from sparklabel.table.human_answers import human_answers
from sparklabel.table.task_table import open_task_table

TABLE = "default.reviewed"
ANN = Before(value="rotten", reviewer="ann", reviewed_at="2026-11-01T10:00:00.000000+00:00")
UNDONE_EARLY, UNDONE, TWO_AGREE, DISPUTED, TEXT_CHANGED, DELETED, BY_SQL, CHANGED = range(2, 10)
TWINS, PENDING, SAW_ANN, PASS_ONLY = (10, 11), 12, 13, 14


class Journal:
    """Numbers events as the journal does."""

    def __init__(self, task):
        self.task, self.events = task, []

    def says(self, who, text, value=None, kind="answer", **others):
        seq = len(self.events) + 1
        self.events.append(
            Event(
                event_id=f"e{seq}", task=self.task.name, key='{"id":0}', input_hash=hash_of(text), kind=kind,
                value=value, reviewer=who, task_fingerprint=self.task.fingerprint, seq=seq,
                answered_at=f"2026-11-02T10:00:{seq:02}.000001+00:00", **others,
            )
        )  # fmt: skip
        return self.events[-1]


def hash_of(text):
    return input_hash([text.encode()])


def worker(spark, task, table=TABLE, journal="j1", **about):
    return TableWorker(spark, {"table": table, "tasks": [task.to_dict()], "key": ["id"]} | about, journal)


@pytest.fixture(scope="module")
def story(spark, label, task, rows_of):
    """A labeled table that is answered, changed by others, flushed by a worker that dies, and flushed again."""
    drop(spark)
    spark.sql(
        f"CREATE TABLE {TABLE} USING DELTA AS SELECT id, concat('fresh ', if(id = 11, 10, id)) AS text FROM range(12)"
    )
    label(TABLE)
    spark.sql(f"INSERT INTO {TABLE} (id, text) VALUES (12, 'fresh 12'), (13, 'fresh 13'), (14, 'fresh 14')")
    at = f"TIMESTAMP '{ANN.reviewed_at}'"
    signed = (
        f"verdict_label.source = 'human', verdict_label.reviewer = 'ann', verdict_label.reviewed_at = {at}"
    )
    spark.sql(f"UPDATE {TABLE} SET verdict = 'rotten', {signed} WHERE id = {SAW_ANN}")
    seen = SimpleNamespace(journal=Journal(task), model=rows_of(TABLE))
    says = seen.journal.says
    says("kim", "fresh 0", "rotten", reason="audit", note="ü😀", seconds=1.5, model="m@1")
    says("kim", "fresh 1", "fresh")
    says("kim", f"fresh {UNDONE_EARLY}", "rotten")
    says("kim", f"fresh {UNDONE_EARLY}", kind="undo")
    for number in (UNDONE, TWO_AGREE, DISPUTED, TEXT_CHANGED, DELETED, BY_SQL, CHANGED, TWINS[0], PENDING):
        says("kim", f"fresh {number}", "rotten")
    says("lee", f"fresh {TWO_AGREE}", "rotten")
    says("lee", f"fresh {DISPUTED}", "fresh")
    says("kim", f"fresh {SAW_ANN}", "fresh", before=ANN)
    says("kim", f"fresh {PASS_ONLY}", kind="skip")
    spark.sql(f"UPDATE {TABLE} SET text = 'fresh now' WHERE id = {TEXT_CHANGED}")
    spark.sql(f"DELETE FROM {TABLE} WHERE id = {DELETED}")
    spark.sql(f"UPDATE {TABLE} SET verdict = 'SQL', {signed} WHERE id = {BY_SQL}")
    dead = worker(spark, task)
    dead.append("verdict", seen.journal.events[:5])
    seen.appended = dead.append("verdict", seen.journal.events)
    seen.again = worker(spark, task).append("verdict", seen.journal.events)
    seen.merged = worker(spark, task).merge("verdict", None)
    seen.first = rows_of(TABLE)
    says("kim", f"fresh {UNDONE}", kind="undo")
    says("kim", f"fresh {CHANGED}", "fresh")
    says("kim", f"fresh {PENDING}", kind="undo")
    says("kim", f"fresh {SAW_ANN}", kind="undo")
    seen.worker = worker(spark, task)
    seen.worker.append("verdict", seen.journal.events)
    seen.later = seen.worker.merge("verdict", [event.input_hash for event in seen.journal.events[-4:]])
    seen.second = rows_of(TABLE)
    seen.report = label(TABLE, model="other", relabel="model")
    seen.third = rows_of(TABLE)
    yield seen
    drop(spark)


def drop(spark):
    for name in (TABLE, f"{TABLE}_verdict_answers"):
        spark.sql(f"DROP TABLE IF EXISTS {name}")


def test_an_answer_is_written_with_all_that_is_known_of_it(story):
    said, row, before = story.journal.events[0], story.first[0], story.model[0]
    assert (row.value, row.label.source, row.label.reviewer, row.label.review_reason) == (
        "rotten", "human", "kim", "audit",
    )  # fmt: skip
    assert row.label.reviewed_at.isoformat() == said.answered_at[:26]
    assert (row.label.status, row.label.input_hash) == ("ok", said.input_hash)
    kept = ("value", "confidence", "alternatives", "model", "pass_id", "labeled_at")
    assert [row.label[name] for name in kept] == [before.label[name] for name in kept]


def test_a_confirmation_is_a_persons_answer(story):
    assert (story.first[1].value, story.first[1].label.source) == ("fresh", "human")


def test_an_undo_before_the_flush_leaves_the_models_label(story):
    assert story.first[UNDONE_EARLY] == story.model[UNDONE_EARLY]


def test_an_undo_after_the_flush_gives_the_models_label_back(story):
    assert story.first[UNDONE].value == "rotten"
    assert story.second[UNDONE] == story.model[UNDONE]


def test_a_row_that_no_pass_had_answered_is_pending_again_after_an_undo(story):
    assert story.first[PENDING].label.reviewer == "kim"
    assert (story.second[PENDING].value, story.second[PENDING].label) == (None, None)


def test_two_who_agree_have_answered_and_two_who_differ_have_not(story):
    assert (story.first[TWO_AGREE].value, story.first[TWO_AGREE].label.reviewer) == ("rotten", "lee")
    assert story.first[DISPUTED] == story.model[DISPUTED]


def test_an_answer_to_a_text_that_changed_or_went_is_kept_and_not_written(story):
    assert story.first[TEXT_CHANGED].value == "fresh"
    moved = {hash_of(f"fresh {number}"): "text_changed" for number in (TEXT_CHANGED, DELETED)}
    assert moved.items() <= story.merged.moved.items()


def test_an_answer_by_sql_meanwhile_stays_and_is_told(story):
    assert (story.first[BY_SQL].value, story.first[BY_SQL].label.reviewer) == ("SQL", "ann")
    assert story.merged.moved[hash_of(f"fresh {BY_SQL}")] == "answered_by_others"


def test_ones_own_earlier_answer_is_changed(story):
    assert [rows[CHANGED].value for rows in (story.first, story.second)] == ["rotten", "fresh"]


def test_an_answer_that_the_person_saw_is_replaced_and_given_back(story):
    assert [rows[SAW_ANN].value for rows in (story.first, story.second)] == ["fresh", "rotten"]
    assert (story.second[SAW_ANN].label.reviewer, story.second[SAW_ANN].label.source) == ("ann", "human")


def test_all_rows_with_the_same_text_get_the_answer(story):
    assert [story.first[number].value for number in TWINS] == ["rotten", "rotten"]


def test_a_merge_counts_what_it_did(story):
    assert (story.merged.written, story.merged.taken_back, len(story.merged.moved)) == (9, 0, 3)
    assert story.later == Merged(written=1, taken_back=3)


def test_the_same_events_are_appended_once(story, task):
    assert (story.appended, story.again) == (17, 17)
    assert story.worker.past("verdict") == story.journal.events


def test_labels_are_what_the_answers_table_alone_comes_to(story):
    by_input = {}
    for event in story.worker.past("verdict"):
        by_input.setdefault(event.input_hash, []).append(event)
    for row in story.second.values():
        found = resolve(by_input.get(hash_of(row.text), []))
        if found.is_answered and row.id != BY_SQL:
            assert (row.value, row.label.reviewer) == (found.value, found.reviewer)
        else:
            assert row.label is None or row.label.reviewer in (None, "ann")


def test_a_pass_leaves_what_people_said_and_training_reads_it(story, spark, task):
    answered = {number for number, row in story.second.items() if row.label and row.label.source == "human"}
    assert {number for number, row in story.third.items() if row.label.source == "human"} == answered
    assert {n: story.third[n].value for n in answered} == {n: story.second[n].value for n in answered}
    found = human_answers(spark, open_task_table(spark, TABLE, task), task)
    assert sum(answer.answer == "rotten" for answer in (*found.train, *found.held_out)) == 5
    assert found.people == len({story.third[number].label.reviewer for number in answered} - {None})


def test_the_history_has_reviews_beside_passes(story, spark):
    texts = [row.userMetadata or "" for row in spark.sql(f"DESCRIBE HISTORY {TABLE}").collect()]
    assert sum(f'"step": "{REVIEW}"' in text for text in texts) == 2
    assert passes(spark, TABLE).count() == 2


def test_a_second_merge_writes_nothing(story, version):
    before = version(TABLE)
    assert story.worker.merge("verdict", None).written == 0
    assert version(TABLE) == before


def test_rows_that_no_person_answered_are_loaded_and_others_can_be_looked_up(story):
    loaded = {row.inputs[0]: row for row in story.worker.load("verdict", 50)}
    assert set(loaded) == {row.text for row in story.third.values() if row.label.source == "model"}
    row = loaded[f"fresh {UNDONE}"]
    assert (row.label.model_value, row.label.status, len(row.label.alternatives)) == ("fresh", "ok", 2)
    hashes = [hash_of(text) for text in ("fresh 10", f"fresh {DELETED}")]
    now = story.worker.current("verdict", hashes)
    assert list(now) == hashes[:1]
    assert (now[hashes[0]].copies, now[hashes[0]].label.value, now[hashes[0]].label.reviewer) == (
        2,
        "rotten",
        "kim",
    )


def test_a_correction_by_a_plain_update_is_shown_and_overruled_by_who_saw_it(
    spark, small, task, label, rows_of
):
    label(small)
    journal, of = Journal(task), worker(spark, task, small)
    spark.sql(f"UPDATE {small} SET verdict = 'rotten' WHERE id = 0")
    said = journal.says("kim", "fresh 0", "fresh")
    of.append("verdict", journal.events)
    assert of.merge("verdict").moved == {said.input_hash: ANSWERED_BY_OTHERS}
    seen = before_of(of.current("verdict", [said.input_hash])[said.input_hash])
    assert seen == Before(value="rotten")
    journal.says("kim", "fresh 0", "fresh", before=seen)
    of.append("verdict", journal.events)
    assert of.merge("verdict").written == 1
    assert (rows_of(small)[0].value, rows_of(small)[0].label.reviewer) == ("fresh", "kim")
    spark.sql(f"DROP TABLE {small}_verdict_answers")
