"""What the tests of generation ask a tiny model: rows behind one prefix, and schemas of their answers."""

import json

from sparklabel.engines import GenerationRequest

PREFIX = tuple(range(30, 47))
ROWS = tuple(tuple((7 * n + k * k) % 250 + 1 for k in range(1 + (13 * n) % 29)) for n in range(11))
SCHEMAS = {
    "string": {"type": "string"},
    "enum": {"enum": ["a", "ab", "ünder", None]},
    "fixed": {"const": "only this"},
    "nullable": {"type": ["string", "null"]},
    "integer": {"type": "integer"},
    "object": {
        "type": "object",
        "properties": {
            "name": {"type": ["string", "null"]}, "ok": {"type": "boolean"}, "größe": {"enum": [1, 2, 33]},
            "parts": {"type": "array", "maxItems": 2, "items": {
                "type": "object", "properties": {"at": {"type": "integer"}}, "required": ["at"],
                "additionalProperties": False,
            }},
        },
        "required": ["name", "ok", "größe", "parts"],
        "additionalProperties": False,
    },
}  # fmt: skip


def ask(engine, schema, rows, max_tokens):
    text = None if schema is None else json.dumps(schema)
    return engine.generate(GenerationRequest(PREFIX, tuple(rows), text, max_tokens))
