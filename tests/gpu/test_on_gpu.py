"""Yes or no on a GPU: the same answers as on a CPU, also short of memory, after a kill, and training that learns.

Speed is measured by benchmarks/gpu, whose steps are used here.
"""

import pytest
import torch

from benchmarks.gpu.agreeing import Agreement, probabilities
from benchmarks.gpu.agreement import LABELS, asked
from benchmarks.gpu.generation import Generating
from benchmarks.gpu.out_of_memory import provoked
from benchmarks.gpu.prompts import valid_share
from benchmarks.gpu.server import CLIENTS, measure
from benchmarks.gpu.table import OK
from benchmarks.gpu.training import Training

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def on_cpu(kit):
    """Requests by number of labels, and the probabilities that a CPU gives in float32."""
    return asked(kit.models.engine("tiny", "float32", "cpu"))


@pytest.fixture(scope="module")
def exact(kit):
    return kit.models.engine("tiny", "float32")


@pytest.mark.parametrize("labels", LABELS)
def test_in_float32_the_probabilities_are_those_of_a_cpu(exact, on_cpu, labels):
    requests, expected = on_cpu
    agreement = Agreement.of(probabilities(exact, requests[labels]), expected[labels], torch.float32)
    assert agreement.share == 1.0
    assert agreement.largest <= 0.001


@pytest.mark.parametrize("labels", LABELS)
def test_in_bfloat16_99_of_100_probabilities_are_within_two_points_of_a_cpus(kit, on_cpu, labels):
    requests, expected = on_cpu
    engine = kit.models.engine("tiny", "bfloat16")
    agreement = Agreement.of(probabilities(engine, requests[labels]), expected[labels], torch.bfloat16)
    assert agreement.share >= 0.99
    assert agreement.near == 0.02


def test_all_rows_are_answered_when_memory_runs_out(kit, exact):
    line = provoked(kit.device, exact, "tiny")
    assert line.status == OK, line
    assert line.figures["times out of memory"] > 0
    assert line.figures["batch tokens after"] < line.figures["batch tokens before"]


def test_every_answer_fits_its_schema(exact):
    texts, _ = Generating(exact, 4).ways()["sparklabel"]()
    assert valid_share(texts) == 1.0


def test_the_engines_process_is_shared_killed_and_replaced(kit):
    (line,) = measure(kit, "tiny")
    assert line.status == OK, line
    assert (line.figures["processes"], line.figures["deaths"]) == (2, CLIENTS)


def test_training_steps_lower_the_loss(kit):
    figures = Training(kit, kit.models.engine("tiny", "float32").language_model).full()
    assert figures["loss after"] < figures["loss before"]


def test_a_lora_step_trains_adapters_alone(kit, exact):
    before = {name: p.detach().clone() for name, p in exact.language_model.model.named_parameters()}
    figures = Training(kit, exact.language_model).lora()
    assert 0 < figures["trained weights"] < sum(p.numel() for p in before.values())
    assert all(torch.equal(p, before[name]) for name, p in exact.language_model.model.named_parameters())
