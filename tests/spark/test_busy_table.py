"""A table that others write to all through a pass: nothing of their work is lost, and no changed text has a stale
answer."""

import threading
from types import SimpleNamespace

import pytest

from sparklabel.delta.commits import retry_on_conflict
from sparklabel.labels.record import input_hash

ROWS = 200


class Writer(threading.Thread):
    """A second session that appends, updates, deletes, corrects labels and compacts, in rounds: as often as it is told,
    and a last one beside the MERGE. `texts` is what the table must hold, `answers` what people said."""

    def __init__(self, spark, table):
        super().__init__(name="writer")
        self._session, self._table = spark.newSession(), table
        self._told, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._last, self.told, self.rounds, self.failure = False, 0, 0, None
        self.texts = {i: f"fresh {i}" for i in range(ROWS)}
        self.answers = {}

    def round(self):
        """Has one written, and returns then."""
        self.told += 1
        self._told.release()
        self._done.acquire()

    def finish(self):
        """The last round, while the caller goes on."""
        self._last = True
        self._told.release()

    def run(self):
        try:
            while self._told.acquire() and not self._last:
                self._write()
                self._done.release()
            self._write()
        except Exception as error:  # noqa: BLE001 - the test says what it was
            self.failure = error
            self._done.release(1000)

    def _write(self):
        n, table = self.rounds, self._table
        self.rounds += 1
        new, changed, removed, corrected, confirmed = 1000 + n, n, 50 + n, 100 + n, 150 + n
        for statement in (
            f"INSERT INTO {table} (id, text) VALUES ({new}, 'fresh and new {n}')",
            f"UPDATE {table} SET text = 'rotten since {n}' WHERE id = {changed}",
            f"DELETE FROM {table} WHERE id = {removed}",
            f"UPDATE {table} SET verdict = if(id = {corrected}, 'rotten', 'fresh'), "
            f"verdict_label.source = if(id = {corrected}, verdict_label.source, 'human') "
            f"WHERE id IN ({corrected}, {confirmed})",
            f"OPTIMIZE {table}",
        ):
            retry_on_conflict(
                lambda statement=statement: self._session.sql(statement).collect(), "The writer's work"
            )
        self.texts |= {new: f"fresh and new {n}", changed: f"rotten since {n}"}
        del self.texts[removed]
        self.answers |= {corrected: "rotten", confirmed: "fresh"}


@pytest.fixture(scope="module")
def busy(spark, label, rows_of, behind_chunk):
    """A pass of several chunks with a writer beside it, and what is in the table then and after another pass."""
    table = "default.busy"
    spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(
        f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range({ROWS})"
    )
    writer = Writer(spark, table)
    writer.start()

    def act(line):
        writer.round()
        if line["inputs"] == line["of"]:
            writer.finish()

    try:
        with behind_chunk(act):
            report = label(table)
    finally:
        writer.finish()
        writer.join()
    assert writer.failure is None
    found, rest = rows_of(table), label(table)
    yield SimpleNamespace(writer=writer, report=report, rows=found, rest=rest, last=rows_of(table))
    spark.sql(f"DROP TABLE {table}")


def test_no_change_by_the_other_writer_is_lost(busy):
    for rows in (busy.rows, busy.last):
        assert {i: row.text for i, row in rows.items()} == busy.writer.texts


def test_human_answers_given_during_the_pass_stay(busy):
    for rows in (busy.rows, busy.last):
        assert {i: rows[i].value for i in busy.writer.answers} == busy.writer.answers
    assert {busy.last[i].label.source for i in busy.writer.answers} == {"human"}


def test_no_row_has_an_answer_to_another_text(busy):
    assert [busy.rows[i].label for i in range(busy.writer.told)] == [None] * busy.writer.told
    model = [row for row in busy.last.values() if row.label.source == "model"]
    assert all(row.label.input_hash == input_hash([row.text.encode()]) for row in model)
    assert all(row.text.startswith(row.value) for row in model)


def test_the_pass_answers_the_unchanged_rows_and_the_next_one_the_changed(busy):
    rounds, states = busy.writer.rounds, busy.rest.states
    assert rounds == busy.writer.told + 1 > 2
    assert (states["done"], states["human"]) == (ROWS - 4 * rounds, 2 * rounds)
    assert busy.rest.pending == busy.rest.labeled == 2 * rounds
