"""The tokenizer as prompts need it: trusted text with special tokens, row text that can never become one."""

import re
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

from sparklabel.errors import ModelError
from sparklabel.redaction import first_line

_BLANK = "▁"
"""How SentencePiece writes a blank: what tokens of a word's beginning begin with."""
_MARK = "SPARKLABELCONTENT"
_BROKEN = "\N{REPLACEMENT CHARACTER}"
"""What decoders write for bytes that make no character, or not yet."""
_ANCHORS = ("\x01", "\n")
"""Texts that merge with nothing behind them: what is encoded behind one is encoded as inside a text."""
_CONTROL = re.compile(r"[<\[]\S+[>\]]")
"""Tokens that were added to a vocabulary in brackets: `<think>`, `<｜User｜>`, `[INST]`. Text has no such words."""
_TODAY = date(2024, 7, 26)
"""What day a chat template is told that it is: the one that Llama 3.1's has for want of a clock."""


class ModelTokenizer:
    """A Hugging Face tokenizer. `stop_ids` end an answer; `context` is the most tokens the model takes."""

    def __init__(self, tokenizer: Any, config: Any, generation_config: Any = None) -> None:
        self._tokenizer = tokenizer
        # Whether special tokens count is a state of the tokenizer: another thread must not change it meanwhile.
        self._encoding = Lock()
        self._anchor = self._find_anchor()
        self._control = {
            i for i, token in tokenizer.added_tokens_decoder.items()
            if token.special or _CONTROL.fullmatch(token.content)
        }  # fmt: skip
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
            # Left open, transformers would ask who sits at the terminal whether the model's own code may run.
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise ModelError(f"The model in {folder} does not load: {first_line(error)}") from None
        has_defaults = (folder / "generation_config.json").is_file()
        return cls(tokenizer, config, GenerationConfig.from_pretrained(folder) if has_defaults else None)

    def encode(self, text: str, *, inside: bool = False) -> list[int]:
        """Trusted text; special tokens written in it count. Tokenizers of Llama-2's kind put a blank before a text,
        unless it is `inside` another."""
        return self._encoded([text], inside, split_special_tokens=False)[0]

    def encode_rows(self, texts: Sequence[str], *, behind: str | None = None) -> list[list[int]]:
        """Text from rows: whatever it imitates, it becomes ordinary tokens. It is inside a text, unless it comes right
        `behind` a trusted one, which says by its end whether the tokenizer puts a blank there."""
        if not texts:
            return []
        inside = behind is None or self.encode(behind + "a") != self.encode(behind) + self.encode("a")
        rows = self._encoded(texts, inside, split_special_tokens=True)
        return [
            ids if self._control.isdisjoint(ids) else self._cut_up(text, inside)
            for text, ids in zip(texts, rows, strict=True)
        ]

    def _cut_up(self, text: str, inside: bool) -> list[int]:
        """Where a token of the chat format is known by its letters, whatever is asked for: each name is cut behind its
        first. Models of the Unigram kind know special tokens so, and some mark theirs as ordinary ones."""
        names = "|".join(re.escape(self._tokenizer.convert_ids_to_tokens(i)) for i in self._control)
        cuts = [0, *(found.start() + 1 for found in re.finditer(f"(?={names})", text)), len(text)]
        first, *others = (text[start:end] for start, end in pairwise(cuts))
        parts = [self._encoded([first], inside, split_special_tokens=True)]
        parts.append(self._encoded(others, True, split_special_tokens=True) if others else [])
        return [i for part in parts for ids in part for i in ids]

    def _encoded(self, texts: Sequence[str], inside: bool, **how: bool) -> list[list[int]]:
        anchor, anchored = self._anchor if inside else ("", [])
        with self._encoding:
            batch = self._tokenizer([anchor + text for text in texts], add_special_tokens=False, **how)
        return [list(ids[len(anchored) :]) for ids in batch.input_ids]

    def _find_anchor(self) -> tuple[str, list[int]]:
        """What goes before a text so that no blank is put there, and its ids; empty where none is put anyway."""
        if not self._begins_with_a_blank(self.encode("a")):
            return "", []
        for anchor in _ANCHORS:
            ids = self.encode(anchor)
            joint = self.encode(anchor + "a")
            if joint[: len(ids)] == ids and not self._begins_with_a_blank(joint[len(ids) :]):
                return anchor, ids
        return "", []

    def _begins_with_a_blank(self, ids: Sequence[int]) -> bool:
        return any(t.startswith(_BLANK) for t in self._tokenizer.convert_ids_to_tokens(list(ids[:1])))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer as it stands: a blank at its beginning is kept."""
        _, anchored = self._anchor
        return self._decoded([*anchored, *ids]).removeprefix(self._decoded(anchored))

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def token_ends(self, ids: Sequence[int]) -> list[int]:
        """Where each token ends in the decoded text, in characters. One that ends inside a character ends where that
        begins."""
        # Decoded from the last whole character on, with the tokens before it, since decoders look back on these.
        ends: list[int] = []
        end, before, start = 0, 0, 0
        for number in range(1, len(ids) + 1):
            text = self.decode(ids[before:number])
            if not text.endswith(_BROKEN):
                end += len(text) - len(self.decode(ids[before:start]))
                before, start = start, number
            ends.append(end)
        length = len(self.decode(ids))
        return [min(end, length) for end in ends[:-1]] + [length][: len(ids)]

    @property
    def fast(self) -> Any:
        """transformers' tokenizer, for what reads its parts."""
        return self._tokenizer

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

    def chat_lead(self) -> str:
        """The blanks that the chat template puts between the assistant's header and an answer."""
        _, after = self.chat() or ("", "")
        turns = [{"role": "user", "content": _MARK}, {"role": "assistant", "content": _MARK}]
        said = self._render(turns, False).partition(_MARK)[2]
        lead, mark, _ = said.removeprefix(after).partition(_MARK)
        return lead if mark and said.startswith(after) and not lead.strip(" ") else ""

    def _render(self, messages: list[dict[str, str]], generate: bool) -> str:
        # Templates that print today's date (Llama 3.1's reads date_string, others strftime_now) would give another
        # prompt, so other answers, every day: the same model would disagree with its own labels of yesterday. Models
        # that think first (Qwen3) are told not to: an answer is read where they would begin to.
        return str(
            self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=generate,
                date_string=_TODAY.strftime("%d %b %Y"), strftime_now=_TODAY.strftime, enable_thinking=False,
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
