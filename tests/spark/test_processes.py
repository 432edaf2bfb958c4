"""How many processes may train, and where they meet: what is refused before anything is loaded."""

import pytest

from sparklabel.errors import SetupError, TableError
from sparklabel.training.processes import Processes, rank_slots


@pytest.fixture
def checked(spark):
    """`checked(num_processes=2, ...)`: as `finetune` checks its arguments."""
    defaults = {
        "num_processes": 1,
        "min_processes": None,
        "use_gpu": None,
        "checkpoints": None,
        "checkpoint_minutes": 10,
    }
    return lambda **given: Processes.checked(spark, **defaults | given)


def test_one_process_needs_nothing(checked):
    assert checked() == Processes()


def test_on_one_machine_several_meet_in_the_cache(checked):
    found = checked(num_processes=2)
    assert (found.count, found.least, found.on_gpus) == (2, 2, False)
    assert found.checkpoints.is_dir()


def test_a_folder_is_made_and_may_be_a_uri(checked, tmp_path):
    assert checked(checkpoints=(tmp_path / "a b").as_uri()).checkpoints == tmp_path / "a b"
    assert (tmp_path / "a b").is_dir()


def test_the_slots_are_those_of_the_session(spark):
    assert rank_slots(spark, on_gpus=False) == 2


@pytest.mark.parametrize("count", [0, -1, 2.5, True, "2", None])
@pytest.mark.parametrize("name", ["num_processes", "min_processes"])
def test_a_count_is_a_whole_number_above_zero(checked, name, count):
    if (name, count) == ("min_processes", None):
        return
    with pytest.raises(SetupError, match=f"{name}={count!r} is not a whole number above 0"):
        checked(**{"num_processes": 2} | {name: count})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_processes": 2, "min_processes": 3}, "min_processes=3 is more than num_processes=2"),
        ({"num_processes": 8}, r"8 ranks, and the cluster has 2 slots \(spark.task.cpus=1\)"),
        ({"num_processes": 2, "use_gpu": True}, "Spark knows of no GPUs on the executors"),
        ({"num_processes": 1, "use_gpu": True}, "this process, which would train alone, sees no GPU"),
        ({"use_gpu": "yes"}, "use_gpu='yes' is not True, False or None"),
        ({"checkpoint_minutes": 0}, "checkpoint_minutes=0 is not a number above 0"),
        ({"checkpoint_minutes": float("nan")}, "checkpoint_minutes=nan is not"),
        ({"checkpoints": "runs"}, "'runs' is relative"),
        ({"checkpoints": ""}, "'' is not the path of a folder"),
        ({"checkpoints": "s3://bucket/runs"}, "is not a folder of a file system"),
        ({"checkpoints": "/proc/nothing"}, "cannot be written: No such file or directory"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_by_name(checked, given, message):
    with pytest.raises(SetupError, match=message):
        checked(**given)


def test_a_folder_inside_a_table_is_refused(spark, checked, tmp_path):
    spark.range(1).write.format("delta").save(str(tmp_path / "t"))
    with pytest.raises(TableError, match="lies in the folder of a Delta table"):
        checked(checkpoints=str(tmp_path / "t" / "runs"))


def test_executors_that_come_and_go_are_refused(spark, checked, monkeypatch):
    setting = spark.conf.get
    allocating = {"spark.dynamicAllocation.enabled": "true"}
    monkeypatch.setattr(
        type(spark.conf), "get", lambda _, name, *rest: allocating.get(name) or setting(name, *rest)
    )
    with pytest.raises(SetupError, match=r"spark\.dynamicAllocation\.enabled is true"):
        checked(num_processes=2)
