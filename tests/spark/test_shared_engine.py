"""Tasks that share an engine in a process of its own: through Spark, and when that process is killed."""

import os
import signal
from dataclasses import replace

import pyarrow as pa
import pytest

from sparklabel.engines.registry import engine_spec
from sparklabel.engines.server import Endpoint, ServingSpec
from sparklabel.errors import SetupError
from sparklabel.udf import label_udf, labeler_spec
from sparklabel.udf.loading import Slot, open_labeler
from sparklabel.udf.worker import label_batches

RECORD = pa.struct(
    [("value", pa.string()), ("status", pa.string()), ("error", pa.string()), ("attempts", pa.int32())]
)


@pytest.fixture
def process(task):
    """A spec, and the place of the process that serves it; the process is ended at last."""
    spec = labeler_spec(task, "m-shared", "fake", {"shared": True})
    endpoint = Endpoint.of(ServingSpec(spec.engine, spec.model.identity, None))
    endpoint.kill()
    yield spec, endpoint
    endpoint.kill()


def batch(*texts):
    return pa.StructArray.from_arrays([pa.array(texts)], names=["text"])


def answers(spec, batches):
    return [answer for made in label_batches(spec, batches, RECORD) for answer in made.to_pylist()]


def test_workers_share_one_process_that_is_the_executors(spark, task, process):
    _, endpoint = process
    frame = spark.range(40).selectExpr("concat('fresh ', id) AS text").repartition(4)
    label = label_udf(task, model="m-shared", engine="fake", shared=True)("text")
    rows = frame.select(label.value.alias("value")).collect()
    assert {row.value for row in rows} == {"fresh"}
    assert endpoint.is_occupied
    assert endpoint.facts()["pid"] != os.getpid()


def test_a_pass_survives_the_death_of_the_process(process):
    spec, endpoint = process

    def batches():
        yield batch("fresh one", "rotten one")
        yield batch("fresh two")
        os.kill(endpoint.facts()["pid"], signal.SIGKILL)
        yield batch("fresh three", "rotten two")

    found = answers(spec, batches())
    assert [answer["value"] for answer in found] == ["fresh", "rotten", "fresh", "fresh", "rotten"]
    assert {answer["status"] for answer in found} == {"ok"}


@pytest.fixture
def mortal(task):
    """A spec whose process dies of each batch that has a row with the word "deadly"."""
    spec = labeler_spec(task, "m-mortal", "fake", {"shared": True, "die_on": "deadly"})
    endpoint = Endpoint.of(ServingSpec(spec.engine, spec.model.identity, None))
    yield spec
    endpoint.kill()


def test_a_row_that_kills_the_process_fails_alone(mortal):
    texts = [f"fresh {n}" for n in range(300)]
    texts[7] = texts[170] = "deadly"
    found = answers(mortal, iter([batch(*texts), batch("rotten")]))
    assert {n for n, answer in enumerate(found) if answer["status"] != "ok"} == {7, 170}
    assert (found[7]["status"], found[7]["error"][:25]) == ("engine_died", "the engine's process died")
    assert found[-1]["value"] == "rotten"


def test_a_row_beside_one_that_kills_the_process_is_not_blamed(spark, task, mortal):
    label = label_udf(task, model="m-mortal", engine="fake", shared=True, die_on="deadly")("text")
    rows = spark.createDataFrame([("deadly",), ("fresh 1",), ("fresh 2",), ("fresh 3",)], "text STRING")
    found = rows.repartitionByRange(4, "text").select("text", label.status.alias("status")).collect()
    assert {row.text for row in found if row.status != "ok"} == {"deadly"}


def test_answered_and_blank_rows_beside_a_lost_engine_are_no_failures(mortal):
    found = answers(mortal, iter([batch("fresh", ""), batch("deadly", "", None)]))
    assert [answer["status"] for answer in found] == [
        "ok",
        "empty_input",
        "engine_died",
        *["empty_input"] * 2,
    ]


def test_a_process_that_dies_of_every_row_is_not_started_again_and_again(mortal):
    texts = [f"{n} a" for n in range(100)]  # as the harmless row has it
    found = answers(
        replace(mortal, engine=engine_spec("fake", {"shared": True, "die_on": "a"})), iter([batch(*texts)])
    )
    assert {answer["status"] for answer in found} == {"engine_error"}


def test_an_engine_that_fails_on_every_row_is_opened_anew_once(task):
    spec = labeler_spec(task, "m", "fake", {"fail_on": "boom"})
    found = answers(spec, iter([batch(*(f"boom {n}" for n in range(40)), "fresh")]))
    assert {(answer["status"], answer["attempts"]) for answer in found[:-1]} == {("engine_error", 2)}


def test_a_gpu_that_spark_gave_and_torch_does_not_find_is_an_error(task, tiny_model):
    spec = labeler_spec(task, str(tiny_model), "transformers", {})
    with pytest.raises(SetupError, match="no device 'cuda'"):
        open_labeler(spec, Slot(1, gpu="40", device="40"))
