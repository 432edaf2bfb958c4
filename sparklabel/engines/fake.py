"""A deterministic engine without a model, for tests, notebooks and dry runs of a pipeline.

It ships with the package and walks the whole path: prompts are really tokenised (one token a byte), tries are really
read, JSON really fits its schema. A label whose spoken name occurs in the row gets most of the probability; otherwise
the scores are a hash of the model's name and the row. What it writes comes from the row's words (fake_answers.py). Its
answers mean nothing.
"""

import hashlib
import json
import re
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


class ByteTokenizer:
    """One token a byte; three special tokens, which text from rows cannot produce."""

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
    """Scores and writes by rule. Two fakes with different model names agree only on rows that name a label.

    `fail_on` is for trying out failures: a batch with a row that holds this text raises EngineError.
    """

    def __init__(self, model: str = "fake", fail_on: str | None = None) -> None:
        self.tokenizer = ByteTokenizer()
        self._seed = model.encode()
        self._fail_on = fail_on.encode() if fail_on else None

    def score(self, request: ScoringRequest) -> NDArray[np.float32]:
        rows = self._texts(request.rows)
        return np.array([self._scores(row.lower(), request) for row in rows], dtype=np.float32).reshape(
            len(request.rows), len(request.trie.option_tokens)
        )

    def generate(self, request: GenerationRequest) -> list[Completion]:
        return [self._written(row, request) for row in self._texts(request.rows)]

    def _texts(self, rows: Sequence[Sequence[int]]) -> list[bytes]:
        """The rows' text without special tokens. Raises EngineError as `fail_on` asks."""
        texts = [bytes(token for token in row if token < 256) for row in rows]
        if self._fail_on and any(self._fail_on in text for text in texts):
            raise EngineError("The fake engine fails, as fail_on asks.")
        return texts

    def _scores(self, text: bytes, request: ScoringRequest) -> list[float]:
        trie = request.trie
        named = [
            n
            for n, path in enumerate(trie.paths)
            if bytes(p for p in path if p != END).strip().lower() in text
        ]
        favoured = set(trie.label_paths[max(named, key=lambda n: len(trie.paths[n]))]) if named else set()
        digest = hashlib.sha256(self._seed + text).digest()
        return [
            (4.0 if o in favoured else 0.0) + digest[o % 32] / 256 for o in range(len(trie.option_tokens))
        ]

    def _written(self, row: bytes, request: GenerationRequest) -> Completion:
        """One token a byte. A token that leaves a character unfinished ends where that character begins."""
        written = fake_answer(request.schema, row.decode(errors="ignore"), self._seed).encode()
        tokens = written[: request.max_tokens]
        digest = hashlib.sha256(self._seed + row).digest()
        log_p = tuple(-digest[t % 32] / 1024 for t in range(len(tokens)))
        return Completion(
            tokens.decode(errors="ignore"), _ends(tokens), log_p, finished=len(tokens) == len(written)
        )


def _ends(text: bytes) -> tuple[int, ...]:
    """For each byte, how many characters of UTF-8 are complete behind it."""
    return tuple(len(text[: n + 1].decode(errors="ignore")) for n in range(len(text)))


_WORD = re.compile(r"[^\W_][\w'’-]*")
_LABEL = re.compile(r"\n[^\n:]*:")
"""How prompts introduce the next input, or the answer."""

_WORDS_OF_TEXT = 12
_MOST_ENTITIES = 8


def fake_answer(schema: str | None, row: str, seed: bytes) -> str:
    """Deterministic: the same for the same arguments."""
    row = re.sub(r"\n[^\n:]*:$", "", row)
    if schema is None:
        return " ".join(row.split()[:_WORDS_OF_TEXT])
    return json.dumps(_Writer(row, seed).value(json.loads(schema)), ensure_ascii=False)


@dataclass(frozen=True)
class _Writer:
    """Writes values of schemas; `path` is the field's place, so that fields of one row differ."""

    row: str
    seed: bytes
    path: str = ""

    def value(self, schema: Mapping[str, Any]) -> Any:
        if "anyOf" in schema:
            return self._or_null(next(part for part in schema["anyOf"] if part != {"type": "null"}))
        found = self._found(schema)
        return self._made_up(schema) if found is None else found

    def _or_null(self, schema: Mapping[str, Any]) -> Any:
        return None if self._byte() < 64 else self._found(schema)

    def _found(self, schema: Mapping[str, Any]) -> Any:
        """What the row says; None where it says nothing that fits."""
        if "enum" in schema:
            named = [option for option in schema["enum"] if option.lower() in self.row.lower()]
            return max(named, key=len, default=None)
        if schema.get("format") == "date":
            return next(
                iter(re.findall(r"\b[12]\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])\b", self.row)), None
            )
        kinds = {
            "object": self._object, "array": self._array, "string": self._word, "boolean": self._boolean,
            "integer": self._number, "number": self._number,
        }  # fmt: skip
        return kinds[schema["type"]](schema)

    def _made_up(self, schema: Mapping[str, Any]) -> Any:
        """Where there is no null to say that nothing fits."""
        if "enum" in schema:
            return self._pick(schema["enum"])
        if schema["type"] == "string":
            return f"2000-01-{self._byte() % 28 + 1:02}" if "format" in schema else "word"
        return self._byte()

    def _object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        parts = schema["properties"]
        return {name: replace(self, path=f"{self.path}.{name}").value(part) for name, part in parts.items()}

    def _array(self, schema: Mapping[str, Any]) -> list[Any]:
        items, most = schema["items"], schema.get("maxItems", _MOST_ENTITIES)
        if items.get("type") == "object":
            return self._entities(items["properties"])[:most]
        count = max(schema.get("minItems", 0), self._byte() % 3)
        return [replace(self, path=f"{self.path}.{n}").value(items) for n in range(min(count, most))]

    def _entities(self, parts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The row's capitalised words, each with a type."""
        words = [word for word in _WORD.findall(self.row) if word[0].isupper()][:_MOST_ENTITIES]
        of = [(word, replace(self, path=f"{self.path}.{word}")) for word in words]
        return [{"text": word, "type": writer._pick(parts["type"]["enum"])} for word, writer in of]

    def _word(self, schema: Mapping[str, Any]) -> str | None:
        """A word of the last input, so that an answer is in its context."""
        words = _WORD.findall(_LABEL.split(self.row)[-1])
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
