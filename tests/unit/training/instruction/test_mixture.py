"""What a mixture refuses, and how much each source counts."""

import pytest

import sparklabel as sl
from sparklabel.errors import SetupError, TaskError

VERDICT = sl.classification("verdict", "text", ["fresh", "rotten"], "Judge.")
INTENT = sl.classification("intent", "text", ["refund", "other"])


def source(name="reviews", task=VERDICT, **options):
    return sl.source(name, task, **options)


def draws(counts, *sources, **options):
    """(share, copies) of each source, flat."""
    found = sl.mixture(sources or [source(f"table {n}") for n, _ in enumerate(counts)], **options).draws(
        counts
    )
    return [number for draw in found for number in draw]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sl.mixture([]), "has no sources"),
        (lambda: sl.mixture([source(held_out=True)]), "no source that teaches"),
        (lambda: sl.mixture(source()), "is not a list of sources"),
        (lambda: sl.mixture(None), "None is not a list of sources"),
        (lambda: sl.load_mixture(None), "None is not the path of a file"),
        (lambda: source(key=1), "key=1"),
        (lambda: sl.mixture(["reviews"]), "'reviews' is not a source"),
        (lambda: source(weight=0), "weight=0 is not a number above 0"),
        (lambda: source(weight=-1.0), "weight=-1.0"),
        (lambda: source(weight=float("nan")), "weight=nan"),
        (lambda: source(weight=True), "weight=True"),
        (lambda: source(max_rows=0), "max_rows=0"),
        (lambda: source(held_out="no"), "held_out='no' is neither True nor False"),
        (lambda: source(""), "table='' is not a name"),
        (lambda: source(answers="gold", into="labels"), "names a column of right answers"),
        (lambda: source(key=[]), r"key=\[\]"),
        (lambda: sl.mixture([source()], cap=0), "cap=0"),
        (lambda: sl.mixture([source()], temperature=0), "temperature=0"),
        (lambda: sl.mixture([source()], few_shot=(4, 0)), r"few_shot=\(4, 0\)"),
        (lambda: sl.mixture([source()], few_shot=3), "few_shot=3"),
        (lambda: sl.mixture([source()], seed=-1), "seed=-1"),
        (lambda: sl.mixture([source()], shuffle_labels="no"), "shuffle_labels='no' is neither"),
        (lambda: sl.mixture([source(), source(weight=2)]), "reviews is given twice with the task 'verdict'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(make, message):
    with pytest.raises(SetupError, match=message):
        make()


def test_a_source_needs_a_task():
    with pytest.raises(TaskError):
        sl.source("reviews", "verdict")


def test_two_tasks_of_one_name_with_other_labels_are_refused():
    other = sl.classification("verdict", "text", ["good", "bad"])
    with pytest.raises(SetupError, match="different tasks of the name 'verdict'"):
        sl.mixture([source(), source("more", other)])


def test_a_task_is_not_taught_by_one_table_and_held_out_in_another():
    with pytest.raises(SetupError, match="held out in one of reviews and more"):
        sl.mixture([source(), source("more", held_out=True)])


def test_each_row_is_shown_once_where_nothing_else_is_said():
    assert draws([100, 300]) == pytest.approx([1, 1, 1, 1])


def test_of_a_table_beyond_the_cap_a_part_of_the_rows_teaches():
    assert draws([100, 300], cap=150) == pytest.approx([1, 1, 0.5, 1])


def test_at_most_so_many_rows_of_a_table_teach_whatever_its_weight():
    found = draws([100, 300], source(), source("more", INTENT, max_rows=60, weight=2))
    assert found == pytest.approx([1, 1, 0.2, 2])


def test_rows_of_a_table_with_twice_the_weight_are_shown_twice():
    assert draws([100, 300], source(weight=2), source("more", INTENT)) == pytest.approx([1, 2, 1, 1])


def test_with_a_temperature_small_tables_count_more_than_their_size():
    _, small, _, large = draws([100, 900], temperature=2)
    assert small * 100 / (large * 900) == pytest.approx((100 / 900) ** 0.5)
    assert small * 100 + large * 900 == pytest.approx(1000)


def test_a_table_without_rows_that_teach_gives_nothing():
    assert draws([0, 300]) == pytest.approx([0, 0, 1, 1])
