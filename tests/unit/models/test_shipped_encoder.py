"""The sentence encoder: alike texts have alike vectors, whatever else is embedded with them."""

import numpy as np
import pytest

from sparklabel.few_shot import AnsweredInput, example_set
from sparklabel.labeler.retrieval import ExampleRetriever
from sparklabel.models.shipped_encoder import sentence_encoder
from sparklabel.splits import is_held_out
from sparklabel.tasks import classification

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("one_thread")]
TEXTS = ["My card has not arrived.", "Where is my new card?", "I want my money back.", "Top up by cheque?"]


def test_vectors_are_one_long_and_those_of_like_texts_are_near():
    vectors = sentence_encoder().embed(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alike = vectors @ vectors.T
    assert alike[0, 1] > alike[0, 2] + 0.2


def test_a_vector_does_not_depend_on_what_is_embedded_beside_it():
    encoder = sentence_encoder()
    together = encoder.embed([TEXTS[0], "long " * 400, TEXTS[0], ""])
    np.testing.assert_allclose(encoder.embed(TEXTS[:1])[0], together[0], atol=1e-5)
    np.testing.assert_array_equal(together[0], together[2])


def test_the_encoder_is_named_by_its_files():
    assert sentence_encoder().identity.startswith("all-minilm-l6-v2@sha256:")


def test_rows_find_what_people_answered_of_like_texts():
    answers = [
        *((f"My card number {n} has not arrived yet.", "arrival") for n in range(6)),
        *((f"Please refund the payment of {n} pounds.", "refund") for n in range(6)),
    ]
    task = classification("intent", "text", ["arrival", "refund"], examples_from=("t", 2, "similar"))
    pairs = [AnsweredInput((text,), answer) for text, answer in answers if not is_held_out([text])]
    examples = example_set(task, task.examples_from, 0, pairs, sentence_encoder)
    manifests, refunds = ExampleRetriever(task, examples).of(
        [["Where is my card?"], ["I want my money back."]]
    )
    assert [text.count("Answer: arrival") for text in manifests] == [1, 1]
    assert [text.count("Answer: refund") for text in refunds] == [1, 1]
