"""The journal: on disk when it is acknowledged, each event once, one process at a time."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from sparklabel.errors import SetupError
from sparklabel.reviewing.journal import Journal
from sparklabel.reviewing.records import ANSWER, Before, Event, Shown

ABOUT = {"table": "t", "tasks": ["tone"]}
ONE = Event(
    event_id="1", task="tone", key='{"id":1}', input_hash="h", kind=ANSWER, value={"a": ["é", None]}, reviewer="ann",
    shown=Shown(value="x", confidence=0.5, by="model"), before=Before(reviewer="bo"), seconds=1.5, note="n",
)  # fmt: skip


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "review.db", ABOUT) as opened:
        yield opened


def test_an_event_comes_back_as_it_was(journal):
    assert journal.append([ONE]) == [1]
    assert list(journal.events()) == [replace(ONE, seq=1)]


def test_what_is_acknowledged_is_on_disk(journal):
    journal.append([ONE])
    with sqlite3.connect(journal.file) as other:
        assert other.execute("SELECT count(*) FROM events").fetchone() == (1,)
    other.close()


def test_a_repeated_request_is_one_event(journal):
    assert journal.append([ONE, replace(ONE, event_id="2")]) == [1, 2]
    assert journal.append([replace(ONE, event_id="2"), replace(ONE, event_id="3")]) == [2, 3]
    assert journal.last_seq == 3


def test_ten_people_at_once_get_numbers_of_their_own(journal):
    with ThreadPoolExecutor(10) as people:
        found = people.map(lambda n: journal.append([replace(ONE, event_id=f"e{n}")])[0], range(200))
    assert sorted(found) == list(range(1, 201))


def test_events_are_read_from_a_number_on_and_by_task(journal):
    journal.append([replace(ONE, event_id=str(n), task="ab"[n % 2]) for n in range(6)])
    assert [event.event_id for event in journal.events(after=2, task="a")] == ["2", "4"]


def test_what_was_merged_is_remembered_by_task(tmp_path):
    with Journal(tmp_path / "j", ABOUT) as first:
        first.note_merged("tone", 7)
        name = first.id
    with Journal(tmp_path / "j", ABOUT) as second:
        assert (second.merged("tone"), second.merged("other"), second.id) == (7, 0, name)


def test_a_journal_of_another_table_is_refused_by_name(journal):
    journal.append([ONE])
    journal.close()
    with pytest.raises(SetupError, match="its table is 't', not 'u'"):
        Journal(journal.file, {**ABOUT, "table": "u"})


def test_a_journal_without_an_event_becomes_that_of_another_review(journal):
    journal.close()
    with Journal(journal.file, {**ABOUT, "table": "u"}) as other:
        assert (other.about["table"], other.id != journal.id) == ("u", True)
    with Journal(journal.file) as again:
        assert again.about["table"] == "u"


def test_a_journal_that_is_open_elsewhere_is_refused(journal):
    with pytest.raises(SetupError, match="is in use by process"):
        Journal(journal.file, ABOUT)


@pytest.mark.parametrize("about", [ABOUT, None])
def test_a_database_of_something_else_is_refused_and_stays_as_it_is(tmp_path, about):
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE runs (name TEXT)")
    before = file.read_bytes()
    with pytest.raises(SetupError, match="a database of something else"):
        Journal(file, about)
    assert file.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["mlflow.db"]


def test_what_the_table_refused_is_remembered_until_it_is_merged(tmp_path):
    with Journal(tmp_path / "j", ABOUT) as journal:
        journal.note_merged("tone", 7, ["a", "b"], ["a", "b"])
        journal.note_merged("tone", 9, ["b"])
        assert (journal.refused("tone"), journal.refused("other")) == (["a"], [])


def test_a_journal_whose_file_was_made_by_an_earlier_release_is_opened(journal):
    journal.append([ONE])
    journal.close()
    with closing(sqlite3.connect(journal.file)) as database:
        database.execute("DROP TABLE refused")
        database.execute("PRAGMA application_id = 0")
    with Journal(journal.file, ABOUT) as again:
        assert (again.last_seq, again.refused("tone")) == (1, [])


def test_without_a_file_there_is_nothing_to_flush(tmp_path):
    with pytest.raises(SetupError, match="no journal"):
        Journal(tmp_path / "nothing.db")


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    (tmp_path / "j").write_text("text" * 1000)
    with pytest.raises(SetupError, match="is not a journal of a review"):
        Journal(tmp_path / "j", ABOUT)


def test_an_event_that_cannot_be_written_is_refused_and_the_next_one_is_kept(journal):
    with pytest.raises(SetupError, match="cannot be written"):
        journal.append([replace(ONE, value=object())])
    assert journal.append([ONE]) == [1]


def test_a_request_that_was_cancelled_does_not_stop_the_writer(journal):
    assert not journal.submit([ONE]).cancel()
    assert journal.append([replace(ONE, event_id="2")]) == [2]


def test_tasks_of_another_review_are_told_by_name(tmp_path):
    with Journal(tmp_path / "j", {"tasks": [{"name": "tone", "labels": ["a"]}]}) as journal:
        journal.append([ONE])
    with pytest.raises(SetupError, match="its tasks is tone, not mood"):
        Journal(tmp_path / "j", {"tasks": [{"name": "mood"}]})
    with pytest.raises(SetupError, match="its tasks is defined otherwise"):
        Journal(tmp_path / "j", {"tasks": [{"name": "tone", "labels": ["b"]}]})
