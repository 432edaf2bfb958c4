"""The tokenizer as prompts need it: trusted text with special tokens, row text that can never become one."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from sparklabel.errors import ModelError

_MARK = "SPARKLABELCONTENT"
_TODAY = date(2024, 7, 26)
"""What day a chat template is told that it is: the one that Llama 3.1's has for want of a clock."""


class ModelTokenizer:
    """A Hugging Face tokenizer. `stop_ids` end an answer; `context` is the most tokens the model takes."""

    def __init__(self, tokenizer: Any, config: Any, generation_config: Any = None) -> None:
        self._tokenizer = tokenizer
        limits = (
            getattr(config, "max_position_embeddings", None), tokenizer.model_max_length, _window(config)
        )  # fmt: skip
        self.context: int = min(int(limit) for limit in limits if limit)
        self.bos = tokenizer.bos_token if self._adds_bos() else ""
        self.stop_ids = self._find_stop_ids(config, generation_config)

    @classmethod
    def load(cls, folder: Path) -> "ModelTokenizer":
        """Reads tokenizer and configuration of a model folder; no weights. Raises ModelError."""
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig

        try:
            config = AutoConfig.from_pretrained(folder)
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise ModelError(f"The model in {folder} does not load: {str(error).splitlines()[0]}") from None
        has_defaults = (folder / "generation_config.json").is_file()
        return cls(tokenizer, config, GenerationConfig.from_pretrained(folder) if has_defaults else None)

    def encode(self, text: str) -> list[int]:
        """Trusted text; special tokens written in it count."""
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def encode_rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Text from rows: whatever it imitates, it becomes ordinary tokens."""
        if not texts:
            return []
        batch = self._tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)
        return [list(ids) for ids in batch.input_ids]

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids)))

    def chat(self) -> tuple[str, str] | None:
        """What the chat template puts before and after one user message; None for a model without a template.

        The second part ends where the assistant's answer begins.
        """
        if not self._tokenizer.chat_template:
            return None
        before, mark, after = self._render([{"role": "user", "content": _MARK}], True).partition(_MARK)
        if not mark or _MARK in after:
            raise ModelError("The model's chat template does not show the user's message exactly once.")
        return before, after

    def _render(self, messages: list[dict[str, str]], generate: bool) -> str:
        # Templates that print today's date (Llama 3.1's reads date_string, others strftime_now) would give another
        # prompt, so other answers, every day: the same model would disagree with its own labels of yesterday.
        return str(
            self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=generate,
                date_string=_TODAY.strftime("%d %b %Y"), strftime_now=_TODAY.strftime,
            )
        )  # fmt: skip

    def _adds_bos(self) -> bool:
        bos = self._tokenizer.bos_token_id
        return bos is not None and self._tokenizer("a").input_ids[0] == bos

    def _find_stop_ids(self, config: Any, generation_config: Any) -> tuple[int, ...]:
        found: set[int] = set()
        for source in (config, generation_config, self._tokenizer):
            ids = getattr(source, "eos_token_id", None)
            found.update(ids if isinstance(ids, list | tuple) else [] if ids is None else [ids])
        if self._tokenizer.chat_template:
            turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _MARK}]
            closing = self._render(turns, False).partition(_MARK)[2].strip()
            found.update(self.encode(closing)[:1])
        if not found:
            raise ModelError("The model names no token that ends an answer (eos_token_id).")
        return tuple(sorted(found))


def _window(config: Any) -> int | None:
    """The tokens that a layer looks back on, where that is limited; attention.py takes no longer sequence."""
    window = getattr(config, "sliding_window", None)
    return window if type(window) is int and getattr(config, "use_sliding_window", True) else None
