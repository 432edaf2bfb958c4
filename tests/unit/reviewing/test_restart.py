"""A server that starts anew: what it knows, what it writes, whom it tells."""

from dataclasses import replace

from sparklabel.reviewing.records import RowLabel
from tests.unit.reviewing.reviews import by_reason, event, review, rows_of, send


def answered(opened):
    """A row of the queue that ann called good."""
    ann = opened.person("ann")
    row = by_reason(rows_of(ann), "queue")["id"]
    send(ann, event(row, "good"))
    return row


def says_by_sql(table, row, label):
    table.rows["tone"][row] = replace(table.rows["tone"][row], label=label)


def test_a_restart_knows_everything_that_was_acknowledged(tmp_path):
    with review(tmp_path) as first:
        ann = first.person("ann")
        rows = rows_of(ann, 40)
        answered = [row["id"] for row in rows[:10]]
        send(ann, *(event(row, "good") for row in answered), event(rows[10]["id"], kind="skip"))
        send(ann, event(answered[0], kind="undo"))
        before, table = ann.get("/api/tone/progress").json(), first.table
    with review(tmp_path, table=table) as second:
        ann = second.person("ann")
        after = ann.get("/api/tone/progress").json()
        assert {**after, "waiting_to_save": 0} == {**before, "waiting_to_save": 0, "in_table_age_s": 0}
        assert after["accuracy"]["n"] > 0
        came = {row["id"] for row in rows_of(ann, 40)}
        assert answered[0] in came
        assert came & {*answered[1:], rows[10]["id"]} == set()
        assert len(table.answers["tone"]) == 12


def test_what_a_dead_server_had_not_written_is_written_at_the_start(tmp_path):
    with review(tmp_path) as first:
        ann = first.person("ann")
        row = rows_of(ann, 1)[0]["id"]
        send(ann, event(row, "good"))
        table = first.table
    with review(tmp_path, table=table):
        assert table.rows["tone"][row].label.reviewer == "ann"


def test_who_was_overtaken_while_no_server_ran_sees_the_row_again(tmp_path):
    with review(tmp_path) as first:
        row = answered(first)
        table = first.table
    theirs = RowLabel(value="bad", source="human", reviewer="cy", reviewed_at="2026", model="m1", status="ok")
    says_by_sql(table, row, theirs)
    with review(tmp_path, table=table) as second:
        again = rows_of(second.person("ann"), 1)[0]
        assert (again["id"], again["before"]["reviewer"]) == (row, "cy")


def test_who_was_overtaken_and_not_told_before_a_restart_sees_the_row_again(tmp_path):
    """`sparklabel flush` had merged meanwhile, and nobody was there to be told."""
    with review(tmp_path) as first:
        row = answered(first)
        table = first.table
        theirs = RowLabel(value="bad", source="human", model="m1", status="ok")
        says_by_sql(table, row, theirs)
        first.run(first.state.flush())
    with review(tmp_path, table=table) as second:
        ann = second.person("ann")
        again = rows_of(ann, 1)[0]
        assert (again["id"], again["before"]) == (
            row,
            {"value": "bad", "reviewer": None, "reviewed_at": None},
        )
        send(ann, event(row, "good", number=1, before=again["before"]))
        second.run(second.state.flush())
    assert table.rows["tone"][row].label.reviewer == "ann"
    with review(tmp_path, table=table) as third:
        assert row not in {one["id"] for one in rows_of(third.person("ann"), 40)}


def test_what_was_written_and_corrected_by_sql_since_is_not_asked_again(tmp_path):
    with review(tmp_path) as first:
        row = answered(first)
        first.run(first.state.flush())
        table = first.table
    theirs = replace(table.rows["tone"][row].label, value="bad", reviewer="pat")
    says_by_sql(table, row, theirs)
    with review(tmp_path, table=table) as second:
        assert row not in {one["id"] for one in rows_of(second.person("ann"), 40)}
