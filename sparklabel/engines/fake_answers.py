"""What the fake engine writes: an answer that fits a JSON schema, by rule, from the words of a row.

In: the schema as text, or None, and the row's text with the prompt's tail. Out: JSON, or the row's first words. A text
is a word of the row, an option one that the row names, a number the row's first; where nothing fits, or the hash of
the model's name, the row and the field says so, what may be null is null.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

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
