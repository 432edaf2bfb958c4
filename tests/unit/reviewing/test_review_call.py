"""What a review can be asked for, and what the journal remembers of it."""

from pathlib import Path

import pytest

from sparklabel.errors import SetupError, TaskError
from sparklabel.reviewing.people import hashed, is_password, read_accounts
from sparklabel.reviewing.review_call import ReviewCall, answers_name
from sparklabel.tasks import classification
from tests.unit.reviewing.reviews import TASK


def call(**options):
    return ReviewCall(**{"table": "t", "tasks": (TASK,)} | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"audit_share": 1.5}, "audit_share=1.5 is not a number between 0 and 1"),
        ({"overlap": True}, "overlap=True"),
        ({"rows": 0}, "rows=0"),
        ({"goal": 0}, "goal=0"),
        ({"flush_every": 0.5}, "flush_every=0.5"),
        ({"flush_every": float("inf")}, "flush_every=inf"),
        ({"journal": 5}, "journal=5 is not a path"),
        ({"users": "users.yaml"}, "is not a path"),
        ({"features": "all"}, "is not one of auto"),
        ({"user_header": "X-User"}, "a proxy that is trusted"),
        ({"trust": ("10.0.0.1",)}, "a proxy that is trusted"),
        ({"user_header": "X", "trust": ("proxy",)}, "is not an IP address"),
        ({"tls_cert": Path("c")}, "a certificate and its key"),
        ({"read_only": "no"}, "neither True nor False"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(options, message):
    with pytest.raises(SetupError, match=message):
        call(**options)


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(TaskError, match="one name"):
        call(tasks=(TASK, classification("TONE", inputs="x", labels=["a", "b"])))


def test_two_tasks_cannot_share_an_answers_table():
    with pytest.raises(SetupError, match="cannot share"):
        call(tasks=(TASK, classification("other", inputs="x", labels=["a", "b"])), answers="a")


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("db.tickets", "db.tickets_tone_answers"),
        ("/data/tickets/", "/data/tickets_tone_answers"),
        ("db.`my table`", "db.`my table_tone_answers`"),
        ("delta.`/data/t/`", "delta.`/data/t_tone_answers`"),
    ],
)
def test_answers_are_beside_the_table(table, name):
    assert answers_name(call(table=table).about(), "tone") == name


def test_the_answers_table_can_be_named():
    assert call(answers="mine").answers_name("tone") == "mine"


@pytest.mark.parametrize(
    ("host", "is_local"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_it_is_known_whether_other_machines_can_reach_it(host, is_local):
    assert call(host=host).is_local is is_local


def test_a_users_file_is_read(tmp_path):
    file = tmp_path / "users.yaml"
    file.write_text(f"- {{name: ann, role: lead, password: '{hashed('secret')}'}}\n- name: bo\n")
    found = read_accounts(file)
    assert (found["ann"].role, found["bo"].role) == ("lead", "annotator")
    assert is_password(found["ann"], "secret")
    assert not is_password(found["ann"], "other")
    assert not is_password(found["bo"], "")
    assert "scrypt" not in repr(found["ann"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ann: lead", "not a list"),
        ("- {name: ann, role: boss}", "'boss', which is not one of reader, annotator, lead"),
        ("- {name: ann, password: secret}", "is not one that `sparklabel review-user` prints"),
        ("- {name: ann}\n- {name: ann}", "there twice"),
        ("- {name: ann, age: 7}", "has no 'age'"),
        ("- {name: ''}", "Give a name"),
        ("- {name: ann, password: 'scrypt:1073741824:64:1:AA==:AA=='}", "is not one that"),
        ("[", "cannot be read"),
    ],
)
def test_a_users_file_that_cannot_be_used_says_why(tmp_path, text, message):
    file = tmp_path / "users.yaml"
    file.write_text(text)
    with pytest.raises(SetupError, match=message):
        read_accounts(file)
