"""Messages to and from a chat endpoint, as plain data: response formats, replies, choices.

In: schemas, choices, the client's record of a completion. Out: parts of a request, a `Reply`, logits of choices.
Nothing is sent here.
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.engines.base import RowStatus
from sparklabel.engines.openai.choice_logprobs import Token, certain, choice_probabilities, logits_of
from sparklabel.label_trie import LabelTrie
from sparklabel.labels import status
from sparklabel.tasks.label_options import label_number

SHOWN = 300
_HEADS = {"json_schema": re.compile(rb'\s*\{\s*"answer"\s*:\s*"'), "vllm": re.compile(rb'"')}
"""How an answer that is one of several choices begins."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An endpoint's answer to one row. `tokens` is empty if the endpoint does not report them. A `row_status` other
    than `ok` says why there is no answer."""

    text: str = ""
    tokens: tuple[Token, ...] = ()
    finished: bool = True
    row_status: RowStatus | None = None

    @property
    def failed(self) -> bool:
        return self.row_status is not None and self.row_status.status != status.OK

    @property
    def ends(self) -> tuple[int, ...]:
        """Where each token ends, in characters. A token that leaves a character unfinished ends where that begins."""
        written, ends = b"", []
        for token in self.tokens:
            written += token.text
            ends.append(len(written.decode(errors="ignore")))
        return tuple(ends)


def failure(state: str, error: str) -> Reply:
    return Reply(row_status=RowStatus(state, error))


def read_reply(completion: Any) -> Reply:
    """The reply in the client's record, or in anything else that an endpoint sent with HTTP 200."""
    choices: Any = getattr(completion, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    if message is None:
        return failure(status.ENGINE_ERROR, "the endpoint sent something that is not a chat completion")
    if refusal := getattr(message, "refusal", None):
        return failure(status.INVALID_OUTPUT, f"the model refused: {str(refusal)[:SHOWN]}")
    reason = getattr(choices[0], "finish_reason", None)
    if reason not in ("stop", "length", None):
        return failure(status.INVALID_OUTPUT, f"the endpoint ended the answer: {str(reason)[:SHOWN]}")
    try:
        text = _text(getattr(message, "content", None))
        written = text.encode()
    except (AttributeError, KeyError, TypeError, UnicodeEncodeError):
        return failure(status.INVALID_OUTPUT, "the endpoint sent an answer that is not text")
    reported = getattr(getattr(choices[0], "logprobs", None), "content", None) or ()
    try:
        tokens = _tokens(written, reported)
    except (AttributeError, TypeError, ValueError):  # probabilities that do not follow the protocol
        tokens = ()
    return Reply(text, tokens, finished=reason != "length")


def _text(content: Any) -> str:
    """A text, or the texts among parts: models that think first send their thoughts as parts of another type. Raises
    TypeError for anything else."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    if content is None or isinstance(content, str):
        return content or ""
    raise TypeError


def _tokens(text: bytes, reported: Sequence[Any]) -> tuple[Token, ...]:
    """The reported tokens without those after the text (the stop token); empty if they do not spell the text."""
    tokens, written = [], b""
    for one in reported:
        if written == text:
            break
        likeliest = tuple(
            (_bytes(other), float(other.logprob)) for other in getattr(one, "top_logprobs", None) or ()
        )
        tokens.append(Token(_bytes(one), float(one.logprob), likeliest))
        written += tokens[-1].text
    return tuple(tokens) if written == text else ()


def _bytes(token: Any) -> bytes:
    """The token's bytes. Part of a character has no text of its own, so endpoints report bytes too."""
    reported = getattr(token, "bytes", None)
    return bytes(reported) if reported is not None else token.token.encode(errors="replace")


def schema_form(schema: dict[str, Any], structured: str, refused: Collection[str] = ()) -> dict[str, Any]:
    """The part of a request that demands a JSON schema, without the keywords that the endpoint has refused."""
    schema = _without(schema, refused)
    if structured == "vllm":
        return {"structured_outputs": {"json": schema, "disable_any_whitespace": True}}
    form = {"name": "answer", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def _without(schema: Any, keywords: Collection[str]) -> Any:
    """The schema without these keywords. Properties that are named like a keyword stay."""
    if isinstance(schema, list):
        return [_without(part, keywords) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _without(of, keywords) for name, of in part.items()}
        if key == "properties"
        else _without(part, keywords)
        for key, part in schema.items()
        if key not in keywords
    }


class Choices:
    """The labels of a trie, as JSON texts that an endpoint can be held to, in an object if it supports only objects.
    The closing quote distinguishes a label from a longer one that begins with it."""

    def __init__(self, trie: LabelTrie, structured: str) -> None:
        self.trie, self._structured = trie, structured
        self._labels = tuple("".join(map(chr, path)).strip() for path in trie.paths)
        self._written = [json.dumps(label, ensure_ascii=False) for label in self._labels]

    @property
    def form(self) -> dict[str, Any]:
        if self._structured == "vllm":
            return {"structured_outputs": {"choice": self._written}}
        answer = {"type": "string", "enum": list(self._labels)}
        schema = {"type": "object", "properties": {"answer": answer}, "required": ["answer"]}
        return schema_form({**schema, "additionalProperties": False}, self._structured)

    @property
    def max_tokens(self) -> int:
        """One token per byte, and some for what is around the label."""
        return max(len(label.encode()) for label in self._written) + 24

    def read(self, reply: Reply) -> tuple[NDArray[np.float32], RowStatus | None]:
        """[O] logits, NaN if the reply has no answer, and the row's status."""
        if reply.failed:
            return self._none(), reply.row_status
        label = self._label(reply.text)
        if label is None:
            error = f"the answer is not one of the choices: {reply.text[:SHOWN]!r}"
            return self._none(), RowStatus(status.INVALID_OUTPUT, error)
        known = self._probabilities(reply)
        return certain(self.trie, label) if known is None else logits_of(self.trie, known), reply.row_status

    def _none(self) -> NDArray[np.float32]:
        return np.full(len(self.trie.option_tokens), np.nan, dtype=np.float32)

    def _label(self, text: str) -> int | None:
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if isinstance(answer, dict):
            answer = answer.get("answer")
        return label_number(self._labels, answer)

    def _probabilities(self, reply: Reply) -> NDArray[np.float64] | None:
        head = _HEADS[self._structured].match(reply.text.encode())
        if head is None or not any(token.likeliest for token in reply.tokens):
            return None
        return choice_probabilities(reply.tokens, head[0], [one[1:].encode() for one in self._written])
