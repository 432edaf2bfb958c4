"""A deterministic engine without a model, for tests, notebooks and dry runs of a pipeline.

In: the same requests as for a real engine. Out: scores and texts by rule; its answers mean nothing. It takes the whole
path: prompts are really tokenized (one token per byte), tries are really read, JSON really fits its schema. A label
whose text occurs in the row gets most of the probability; apart from that the scores are a hash of the model's name and
the row. What it writes consists of the row's words.
"""

import hashlib
import json
import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.engines.base import Completion, GenerationRequest, ScoringRequest
from sparklabel.errors import EngineError
from sparklabel.label_trie import END

_USER, _ASSISTANT, _STOP = 256, 257, 258
_SPECIAL = {"<user>": _USER, "<assistant>": _ASSISTANT, "<stop>": _STOP}

_WORD = re.compile(r"[^\W_][\w'’-]*")
_DATE = re.compile(r"\b[12]\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])\b")
_FIELD_NAME = re.compile(r"\n[^\n:]*:")
"""How prompts introduce the next input, or the answer."""
_LAST_FIELD_NAME = re.compile(r"\n[^\n:]*:$")

_WORDS_OF_TEXT = 12
_MAX_ENTITIES = 8


class ByteTokenizer:
    """One token per byte, and three special tokens, which text from rows cannot produce."""

    bos: str = ""
    stop_ids: tuple[int, ...] = (_STOP,)
    context: int = 8192

    def encode(self, text: str, *, inside: bool = False) -> list[int]:
        for name, token in _SPECIAL.items():
            before, mark, after = text.partition(name)
            if mark:
                return [*self.encode(before), token, *self.encode(after)]
        return list(text.encode())

    def encode_rows(self, texts: Sequence[str], *, behind: str | None = None) -> list[list[int]]:
        return [list(text.encode(errors="replace")) for text in texts]

    def chat(self) -> tuple[str, str] | None:
        return "<user>", "<assistant>"

    def chat_lead(self) -> str:
        return ""


class FakeEngine:
    """Scores and writes by rule. Two fake engines with different model names agree only on rows that mention a label.

    `fail_on` and `die_on` are for trying out failures: a batch with a row that contains this text raises EngineError,
    or kills the process.
    """

    def __init__(self, model: str = "fake", fail_on: str | None = None, die_on: str | None = None) -> None:
        self.tokenizer = ByteTokenizer()
        self._seed = model.encode()
        self._fail_on = fail_on.encode() if fail_on else None
        self._die_on = die_on.encode() if die_on else None

    def score(self, request: ScoringRequest) -> NDArray[np.float32]:
        rows = self._texts(request.rows)
        return np.array([self._scores(row.lower(), request) for row in rows], dtype=np.float32).reshape(
            len(request.rows), len(request.trie.option_tokens)
        )

    def generate(self, request: GenerationRequest) -> list[Completion]:
        return [self._completion(row, request) for row in self._texts(request.rows)]

    def _texts(self, rows: Sequence[Sequence[int]]) -> list[bytes]:
        """The rows' text without special tokens. Fails as `fail_on` and `die_on` ask."""
        texts = [bytes(token for token in row if token < 256) for row in rows]
        if self._die_on and any(self._die_on in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)  # as the system does to a process that takes too much memory
        if self._fail_on and any(self._fail_on in text for text in texts):
            raise EngineError("The fake engine fails, as fail_on asks.")
        return texts

    def _scores(self, text: bytes, request: ScoringRequest) -> list[float]:
        trie = request.trie
        mentioned = [
            n
            for n, path in enumerate(trie.paths)
            if bytes(p for p in path if p != END).strip().lower() in text
        ]
        favored = (
            set(trie.label_paths[max(mentioned, key=lambda n: len(trie.paths[n]))]) if mentioned else set()
        )
        digest = hashlib.sha256(self._seed + text).digest()
        return [(4.0 if o in favored else 0.0) + digest[o % 32] / 256 for o in range(len(trie.option_tokens))]

    def _completion(self, row: bytes, request: GenerationRequest) -> Completion:
        """One token per byte. A token that leaves a character unfinished ends where that character begins."""
        text = _answer(request.schema, row.decode(errors="ignore"), self._seed).encode()
        tokens = text[: request.max_tokens]
        digest = hashlib.sha256(self._seed + row).digest()
        log_p = tuple(-digest[t % 32] / 1024 for t in range(len(tokens)))
        return Completion(
            tokens.decode(errors="ignore"), _ends(tokens), log_p, finished=len(tokens) == len(text)
        )


def _ends(text: bytes) -> tuple[int, ...]:
    """For each byte, how many characters of UTF-8 are complete after it."""
    return tuple(len(text[: n + 1].decode(errors="ignore")) for n in range(len(text)))


def _answer(schema: str | None, row: str, seed: bytes) -> str:
    """The text for a row: JSON under the schema, or the row's first words."""
    row = _LAST_FIELD_NAME.sub("", row)
    if schema is None:
        return " ".join(row.split()[:_WORDS_OF_TEXT])
    return json.dumps(_JsonWriter(row, seed).value(json.loads(schema)), ensure_ascii=False)


@dataclass(frozen=True)
class _JsonWriter:
    """Writes a value of a JSON schema from a row's text. `path` is the field's position in the schema, so that the
    fields of one row differ."""

    row: str
    seed: bytes
    path: str = ""

    def value(self, schema: Mapping[str, Any]) -> Any:
        if "anyOf" in schema:
            return self._or_null(next(part for part in schema["anyOf"] if part != {"type": "null"}))
        found = self._found(schema)
        return self._invented(schema) if found is None else found

    def _or_null(self, schema: Mapping[str, Any]) -> Any:
        return None if self._byte() < 64 else self._found(schema)

    def _found(self, schema: Mapping[str, Any]) -> Any:
        """A value from the row's text; None if nothing in it fits."""
        if "enum" in schema:
            mentioned = [option for option in schema["enum"] if option.lower() in self.row.lower()]
            return max(mentioned, key=len, default=None)
        if schema.get("format") == "date":
            return next(iter(_DATE.findall(self.row)), None)
        kinds = {
            "object": self._object, "array": self._array, "string": self._word, "boolean": self._boolean,
            "integer": self._number, "number": self._number,
        }  # fmt: skip
        return kinds[schema["type"]](schema)

    def _invented(self, schema: Mapping[str, Any]) -> Any:
        """A value for a field that cannot be null."""
        if "enum" in schema:
            return self._pick(schema["enum"])
        if schema["type"] == "string":
            return f"2000-01-{self._byte() % 28 + 1:02}" if "format" in schema else "word"
        return self._byte()

    def _object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        parts = schema["properties"]
        return {name: replace(self, path=f"{self.path}.{name}").value(part) for name, part in parts.items()}

    def _array(self, schema: Mapping[str, Any]) -> list[Any]:
        items, most = schema["items"], schema.get("maxItems", _MAX_ENTITIES)
        if items.get("type") == "object":
            return self._entities(items["properties"])[:most]
        count = max(schema.get("minItems", 0), self._byte() % 3)
        return [replace(self, path=f"{self.path}.{n}").value(items) for n in range(min(count, most))]

    def _entities(self, parts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The row's capitalized words, each with a type."""
        words = [word for word in _WORD.findall(self.row) if word[0].isupper()][:_MAX_ENTITIES]
        of = [(word, replace(self, path=f"{self.path}.{word}")) for word in words]
        return [{"text": word, "type": writer._pick(parts["type"]["enum"])} for word, writer in of]

    def _word(self, schema: Mapping[str, Any]) -> str | None:
        """A word of the last input, so that an extractive answer is in its context."""
        words = _WORD.findall(_FIELD_NAME.split(self.row)[-1])
        return self._pick(words)[: schema.get("maxLength")] if words else None

    def _boolean(self, schema: Mapping[str, Any]) -> bool:
        return self._byte() % 2 == 0

    def _number(self, schema: Mapping[str, Any]) -> int | None:
        digits = re.search(r"\d{1,9}", self.row)
        return int(digits[0]) if digits else None

    def _pick(self, options: Sequence[Any]) -> Any:
        return options[self._byte() % len(options)]

    def _byte(self) -> int:
        return hashlib.sha256(self.seed + f"{self.path}\n{self.row}".encode()).digest()[0]
