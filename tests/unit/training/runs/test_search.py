"""Searches: what they vary, what is refused, and that JSON keeps them."""

import json

import pytest

from sparklabel import TrainingConfig, grid, tpe
from sparklabel.errors import SetupError
from sparklabel.training.runs.search import Range, search_from_dict, search_to_dict


def test_a_grid_is_every_combination():
    candidates = grid(rank=[8, 16], epochs=[1, None]).candidates()
    assert candidates == [
        {"rank": 8, "epochs": 1}, {"rank": 8, "epochs": None}, {"rank": 16, "epochs": 1}, {"rank": 16, "epochs": None},
    ]  # fmt: skip


def test_two_numbers_are_a_range_and_a_list_is_values():
    space = tpe(trials=5, learning_rate=(1e-5, 1e-3, "log"), rank=(4, 64), epochs=[1, 2]).space
    assert space["learning_rate"] == Range(1e-5, 1e-3, log=True)
    assert (space["rank"].is_whole, space["learning_rate"].is_whole) == (True, False)
    assert space["epochs"] == (1, 2)


@pytest.mark.parametrize(
    "search",
    [grid(rank=[8, 16], base=["a", "b"]), tpe(trials=9, seed=3, learning_rate=(1e-5, 1e-3, "log"), epochs=[1, None])],
    ids=["grid", "tpe"],
)  # fmt: skip
def test_json_keeps_a_search(search):
    assert search_from_dict(json.loads(json.dumps(search_to_dict(search)))) == search


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: grid(), "names nothing"),
        (lambda: grid(ranks=[8]), "did you mean rank?"),
        (lambda: grid(rank=[]), "not a list of values"),
        (lambda: grid(rank=8), "not a list of values"),
        (lambda: grid(rank="8"), "not a list of values"),
        (lambda: grid(rank=[8, 8]), "twice"),
        (lambda: grid(rank=[0]), "rank=0"),
        (lambda: grid(rank=[True]), "rank=True"),
        (lambda: grid(base=[""]), "base=''"),
        (lambda: grid(seed=list(range(1001))), "1,001 candidates"),
        (lambda: tpe(trials=0, rank=[8]), "0 candidates"),
        (lambda: tpe(trials=1001, rank=[8]), "1,001 candidates"),
        (lambda: tpe(trials="5", rank=[8]), "trials='5'"),
        (lambda: tpe(trials=5, seed=-1, rank=[8]), "seed=-1"),
        (lambda: tpe(trials=5), "names nothing"),
        (lambda: tpe(trials=5, learning_rate=(1e-3, 1e-5)), "does not rise"),
        (lambda: tpe(trials=5, learning_rate=(1e-5,)), "not a range"),
        (lambda: tpe(trials=5, learning_rate=(1e-5, 1e-3, "ln")), "not a range"),
        (lambda: tpe(trials=5, weight_decay=(0.0, 0.1, "log")), "begins at 0.0"),
        (lambda: tpe(trials=5, learning_rate=(-1.0, 1e-3)), "learning_rate=-1.0"),
        (lambda: search_from_dict({"sweep": {}}), "neither a grid nor a tpe"),
        (lambda: search_from_dict([1]), "neither a grid nor a tpe"),
        (lambda: search_from_dict({"grid": [1]}), "grid has no names"),
        (lambda: search_from_dict({"tpe": {"rank": [1]}}), "no `trials`"),
        (lambda: search_from_dict({"tpe": {"trials": 2, "rank": {"low": 1}}}), "low"),
        (
            lambda: search_from_dict({"tpe": {"trials": 2, "rank": {"low": 1, "high": 2, "log": "no"}}}),
            "log='no' is neither",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(make, says):
    with pytest.raises(SetupError, match=says.replace("?", r"\?")):
        make()


def test_a_grid_takes_every_setting_that_is_one_value():
    known = {name for name in TrainingConfig.__dataclass_fields__ if name != "target_modules"}
    for name in known:
        value = getattr(TrainingConfig(), name)
        some = True if name in ("shard", "activation_checkpointing") else 1
        assert grid(**{name: [some if value is None else value]}).size == 1
