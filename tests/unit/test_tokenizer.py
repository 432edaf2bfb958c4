"""What a model's tokenizer says of its context and its chat format."""

import pytest
from transformers import AutoTokenizer, LlamaConfig, MistralConfig

from sparklabel.language_model.tokenizer import ModelTokenizer


@pytest.mark.parametrize(
    ("changes", "context"),
    [({}, 512), ({"sliding_window": 4096}, 2048), ({"sliding_window": None}, 2048),
     ({"use_sliding_window": False}, 2048)],
)  # fmt: skip
def test_the_context_is_no_longer_than_an_active_sliding_window(tiny_model, changes, context):
    config = MistralConfig(
        **{"max_position_embeddings": 2048, "sliding_window": 512, "eos_token_id": 0} | changes
    )
    assert ModelTokenizer(AutoTokenizer.from_pretrained(tiny_model), config).context == context


@pytest.mark.parametrize("today", ["date_string", "strftime_now('%d %b %Y')"])
def test_a_chat_template_that_prints_the_date_gives_the_same_prompt_every_day(tiny_model, today):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = f"Today: {{{{ {today} }}}}\n{{{{ messages[0].content }}}}"
    found = ModelTokenizer(tokenizer, LlamaConfig(eos_token_id=0)).chat()
    assert found == ("Today: 26 Jul 2024\n", "")
