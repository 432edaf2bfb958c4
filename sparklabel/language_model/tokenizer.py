"""The tokenizer as prompts need it: special tokens count in trusted text, and never in text from rows.

In: texts, or token ids. Out: token ids, or texts. What a prompt says is decided elsewhere.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

from sparklabel.errors import ModelError
from sparklabel.language_model.chat_format import MARK, ChatFormat, chat_format
from sparklabel.redaction import first_line

_SPACE = "▁"
"""SentencePiece's space: the tokens that begin a word begin with it."""
_BROKEN = "\N{REPLACEMENT CHARACTER}"
"""What decoders write for bytes that are not a character, or not yet a whole one."""
_ANCHORS = ("\x01", "\n")
"""Texts that do not merge with what follows: text after one of them is encoded as inside a longer text."""
_CONTROL = re.compile(r"[<\[]\S+[>\]]")
"""Tokens in brackets that were added to a vocabulary (`<think>`, `<｜User｜>`, `[INST]`), unlike words of a text."""


class ModelTokenizer:
    """A Hugging Face tokenizer. Any of `stop_ids` ends an answer; `context` is the most tokens the model takes, and
    `bos` the text that begins every prompt."""

    def __init__(self, tokenizer: Any, config: Any, generation_config: Any = None) -> None:
        self._tokenizer = tokenizer
        # Whether special tokens count is the tokenizer's state, which another thread must not change meanwhile.
        self._encoding = Lock()
        # What is trusted is the chat format and the like: few texts, which each template asks for again.
        self._trusted: dict[tuple[str, bool], list[int]] = {}
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
        self._chat_format = _find_chat_format(tokenizer)
        self.stop_ids = self._find_stop_ids(config, generation_config)

    @classmethod
    def load(cls, folder: Path) -> "ModelTokenizer":
        """Loads the tokenizer and configuration of a model folder, without weights. Raises ModelError."""
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig

        try:
            # Without False, transformers would ask at the terminal whether the model's own code may run.
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise ModelError(f"The model in {folder} does not load: {first_line(error)}") from None
        has_defaults = (folder / "generation_config.json").is_file()
        return cls(tokenizer, config, GenerationConfig.from_pretrained(folder) if has_defaults else None)

    def encode(self, text: str, *, inside: bool = False) -> list[int]:
        """Encodes trusted text; special tokens written in it count.

        Args:
            text: the text.
            inside: whether it continues another text. Tokenizers like Llama 2's put a space before texts that do not.
        """
        key = text, inside
        if key not in self._trusted:
            self._trusted[key] = self._encoded([text], inside, split_special_tokens=False)[0]
        return list(self._trusted[key])

    def encode_rows(self, texts: Sequence[str], *, behind: str | None = None) -> list[list[int]]:
        """Encodes text from rows as ordinary tokens, even if it imitates special ones.

        Args:
            texts: the texts.
            behind: the trusted text right before them, whose end decides whether the tokenizer puts a space between.
                None: they are inside a text.
        """
        if not texts:
            return []
        inside = behind is None or self.encode(behind + "a") != self.encode(behind) + self.encode("a")
        rows = self._encoded(texts, inside, split_special_tokens=True)
        return [
            ids if self._control.isdisjoint(ids) else self._split_names(text, inside)
            for text, ids in zip(texts, rows, strict=True)
        ]

    def _split_names(self, text: str, inside: bool) -> list[int]:
        """Some tokenizers match special tokens by text even when told not to: Unigram models do, and some mark special
        tokens as ordinary ones. Splits each such name after its first character so that it cannot match."""
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
        """A text to put before another so that it gets no space, and its ids; empty if the tokenizer adds none."""
        if not self._begins_with_space(self.encode("a")):
            return "", []
        for anchor in _ANCHORS:
            ids = self.encode(anchor)
            joint = self.encode(anchor + "a")
            if joint[: len(ids)] == ids and not self._begins_with_space(joint[len(ids) :]):
                return anchor, ids
        return "", []

    def _begins_with_space(self, ids: Sequence[int]) -> bool:
        return any(t.startswith(_SPACE) for t in self._tokenizer.convert_ids_to_tokens(list(ids[:1])))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer, with a space at its beginning if it has one."""
        _, anchored = self._anchor
        return self._decoded([*anchored, *ids]).removeprefix(self._decoded(anchored))

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def token_ends(self, ids: Sequence[int]) -> list[int]:
        """The end of each token in the decoded text, in characters. A token that ends inside a character ends where the
        character begins."""
        # Decodes from the last whole character on, with the tokens before it, which decoders depend on.
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
        """transformers' tokenizer, for code that needs its parts."""
        return self._tokenizer

    def chat(self) -> tuple[str, str] | None:
        """What the chat template puts before and after one user message, up to where the assistant's answer begins.

        Returns None for a model without a template. Raises ModelError if the template does not show the message once.
        """
        if self._chat_format is None:
            return None
        before, mark, after = self._chat_format.question.partition(MARK)
        if not mark or MARK in after:
            raise ModelError("The model's chat template does not show the user's message exactly once.")
        return before, after

    def chat_lead(self) -> str:
        """The spaces that the chat template puts between the assistant's header and an answer."""
        if self._chat_format is None:
            return ""
        _, after = self.chat() or ("", "")
        said = self._chat_format.answered.partition(MARK)[2]
        lead, mark, _ = said.removeprefix(after).partition(MARK)
        return lead if mark and said.startswith(after) and not lead.strip(" ") else ""

    def _adds_bos(self) -> bool:
        bos = self._tokenizer.bos_token_id
        return bos is not None and self._tokenizer("a").input_ids[0] == bos

    def _find_stop_ids(self, config: Any, generation_config: Any) -> tuple[int, ...]:
        found: set[int] = set()
        for source in (config, generation_config, self._tokenizer):
            ids = getattr(source, "eos_token_id", None)
            found.update(ids if isinstance(ids, list | tuple) else [] if ids is None else [ids])
        if self._chat_format is not None:
            closing = self._chat_format.closed.partition(MARK)[2].strip()
            found.update(self.encode(closing)[:1])
        if not found:
            raise ModelError("The model does not say which token ends an answer (eos_token_id).")
        return tuple(sorted(found))


def _find_chat_format(tokenizer: Any) -> ChatFormat | None:
    """None for a model without a chat template. Raises ModelError for a template that cannot be rendered."""
    if not tokenizer.chat_template:
        return None
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:  # it has several, and none is the default
        raise ModelError(
            f"The model {tokenizer.name_or_path} has no usable chat template: {first_line(error)}"
        ) from None
    return chat_format(template, tokenizer.special_tokens_map, tokenizer.name_or_path)


def _window(config: Any) -> int | None:
    """The sliding window of a model's layers, if they have one; our attention takes no longer sequence."""
    window = getattr(config, "sliding_window", None)
    return window if type(window) is int and getattr(config, "use_sliding_window", True) else None
