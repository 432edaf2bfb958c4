"""What `make mutants` changes in SQL, what it makes of its findings, and what it takes from its last run."""

import pytest

from tests.mutants.ledger import Found, Ledger, Scope, read_scope
from tests.mutants.notes import Notes, content_of
from tests.mutants.sql_swaps import sql_variants

SCOPE = Scope({"a.py": (), "b.py": ()}, {("a.py", "- 1\n+ 2"): "the same"})


def found(outcome, change="- x\n+ y", module="a.py", times=1):
    return [Found(module, change, outcome)] * times


def test_sql_is_turned_round_one_word_at_a_time():
    assert set(sql_variants("NOT (a <=> b) AND c IS NULL")) == {
        "(a <=> b) AND c IS NULL", "NOT (a = b) AND c IS NULL", "NOT (a <> b) AND c IS NULL",
        "NOT (a <=> b) OR c IS NULL", "NOT (a <=> b) AND c IS NOT NULL",
    }  # fmt: skip


def test_borders_and_defaults_in_sql_are_moved():
    assert set(sql_variants("coalesce(a IN ('x'), false) OR b < 1")) == {
        "coalesce(a NOT IN ('x'), false) OR b < 1", "coalesce(a IN ('x'), true) OR b < 1",
        "coalesce(a IN ('x'), false) AND b < 1", "coalesce(a IN ('x'), false) OR b <= 1",
        "coalesce(a IN ('x'), false) OR b >= 1",
    }  # fmt: skip


def test_a_sentence_has_no_sql():
    assert list(sql_variants("Give each its own rows: shard=(0, 2) and not shard=(1, 2).")) == []


def test_survivors_need_a_reason():
    known = [*found("survived", "- 1\n+ 2"), *found("caught", times=99)]
    assert Ledger(SCOPE, known).holds
    unknown = Ledger(SCOPE, [*known, *found("survived")])
    assert not unknown.holds
    assert unknown.share > 0.95
    assert unknown.unexplained == found("survived")
    assert any(line.startswith("survived, and has no reason") for line in unknown.lines())


def test_a_reason_for_what_is_caught_is_out_of_date():
    ledger = Ledger(SCOPE, found("caught"))
    assert ledger.outdated == [("a.py", "- 1\n+ 2")]
    assert not ledger.holds
    assert Ledger(SCOPE, found("caught", module="b.py")).holds, (
        "of modules that were not run nothing is known"
    )


def test_too_few_are_caught_even_if_each_survivor_has_a_reason():
    ledger = Ledger(SCOPE, [*found("survived", "- 1\n+ 2"), *found("caught", times=18)])
    assert not ledger.holds
    assert list(ledger.lines())[-1] == "94.7% were caught, and 95% are asked for"


def test_what_cannot_be_imported_is_not_counted():
    ledger = Ledger(
        Scope({}, {}),
        [*found("caught", times=2), *found("timeout"), *found("no module", times=2), *found("survived")],
    )
    assert ledger.share == 0.75
    rows = [line.split() for line in ledger.lines()][:3]
    assert rows[1:] == [["a.py", "4", "3", "1", "75.0%", "1", "2"], ["all", "4", "3", "1", "75.0%", "1", "2"]]


def test_reasons_are_listed_by_module_and_change(tmp_path):
    file = tmp_path / "scope.toml"
    file.write_text(
        '[tests]\n"a.py" = ["t"]\n[[survivors."a.py"]]\nreason = "the same"\n'
        "changes = ['''\n- 1\n+ 2\n''', '''\n- 3\n+ 4\n''']\n"
    )
    scope = read_scope(file)
    assert scope.tests == {"a.py": ("t",)}
    assert scope.reasons == {("a.py", "- 1\n+ 2"): "the same", ("a.py", "- 3\n+ 4"): "the same"}


@pytest.fixture
def notes(tmp_path):
    """The notes of a checkout in which the module `a.py` has this content."""
    return lambda content: Notes(tmp_path / "found.jsonl", {"a.py": content})


def test_a_run_that_was_ended_goes_on_where_it_was(notes):
    one, other = (
        Found("a.py", "- 1\n+ 2", outcome, 3, nth) for nth, outcome in enumerate(("survived", "caught"))
    )
    for found in (one, other):
        notes("now").add(found)
    assert notes("now").known(again=False) == {one.key: one, other.key: other}


def test_a_line_that_a_killed_run_left_half_written_is_skipped(notes):
    one, other = found("caught", "- 1\n+ 2") + found("caught")
    notes("now").add(one)
    file = notes("now").file
    file.write_text(file.read_text() + '\n{"content": "no')
    notes("now").add(other)
    assert list(notes("now").known(again=False).values()) == [one, other]


def test_what_was_found_in_other_code_is_unknown_unless_one_asks_for_what_was_ever_caught(notes):
    caught, survived = found("caught", "- 1\n+ 2") + found("survived")
    for one in (caught, survived):
        notes("before").add(one)
    assert notes("now").known(again=False) == {}
    assert notes("now").known(again=True) == {caught.key: caught}


def test_what_survives_now_was_not_caught_for_good(notes):
    for outcome in ("caught", "survived"):
        notes("now").add(*found(outcome))
    assert notes("now").known(again=True) == {}


def test_code_and_the_chosen_tests_are_what_decides(tmp_path):
    deciding = ("pkg/a.py", "tests/conftest.py", "tests/test_a.py", "tests/b/test_b.py", "one.toml")
    others = ("tests/test_other.py", "tests/mutants/scope.toml", "pkg/__pycache__/a.pyc")

    def content_after(changed=None):
        for name in deciding + others:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("after" if name == changed else "before")
        return content_of(tmp_path, ("pkg", "tests", "one.toml"), ("tests/test_a.py", "tests/b"))

    assert {content_after(name) for name in others} == {content_after()}
    assert len({content_after(), *map(content_after, deciding)}) == 1 + len(deciding)
