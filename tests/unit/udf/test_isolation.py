"""Which rows are blamed for the deaths of an engine, and how many deaths that takes."""

import pytest

from sparklabel.udf.isolation import fatal_rows


class MortalEngine:
    """Dies of each batch that has one of its `fatal` rows; a broken one of every batch."""

    def __init__(self, fatal=(), is_broken=False, most=8):
        self.fatal, self.broken, self.most = set(fatal), is_broken, most
        self.deaths = self.in_a_row = 0

    def ask(self, numbers, attempt=1):
        dies = self.broken or bool(self.fatal & set(numbers))
        self.deaths += dies
        self.in_a_row = self.in_a_row + 1 if dies else 0
        return numbers if dies else []

    def blamed(self, rows):
        suspects = self.ask(range(rows))
        return list(
            fatal_rows(suspects, self.ask, lambda: not self.ask([-1]), lambda: self.in_a_row >= self.most)
        )


@pytest.mark.parametrize("fatal", [{0}, {7}, {9_999}, {3, 4}, {0, 5_000, 9_999}])
def test_the_rows_that_kill_it_are_found_among_thousands(fatal):
    engine = MortalEngine(fatal)
    assert set(engine.blamed(10_000)) == fatal
    assert engine.deaths <= 1 + 5 * len(fatal)


def test_a_row_that_was_alone_is_asked_twice_again():
    engine = MortalEngine({0})
    assert (engine.blamed(1), engine.deaths) == ([0], 3)


def test_a_row_that_another_tasks_row_took_along_is_not_blamed():
    engine = MortalEngine()
    assert list(fatal_rows([0, 1], engine.ask, lambda: True, lambda: False)) == []


def test_no_row_is_blamed_for_an_engine_that_dies_of_all():
    engine = MortalEngine(is_broken=True)
    assert engine.blamed(100) == []
    assert engine.deaths == 8


def test_of_no_suspects_none_is_blamed():
    assert list(fatal_rows([], MortalEngine().ask, lambda: True, lambda: False)) == []
