"""The program of the child process that renders a chat template. Its source is given to Python as it stands, so it
imports nothing of ours.

In: on standard input, JSON with `template`, `chats` (lists of messages with whether an answer is asked for),
`variables`, `today` (ISO), and the limits `seconds` and `characters`. Out: on standard output, a JSON list of texts,
one a chat. What the template raises ends the process: the last line of standard error says it.

A template is a program of a stranger. The sandbox keeps it from everything but computing; the limits bound that.
"""

import json
import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

_MEMORY = 1 << 30
"""Bytes; the interpreter itself takes a fiftieth of it."""


class Generation(Extension):
    """`{% generation %}`: marks what the assistant says, for training code. It prints what is in it."""

    tags = {"generation"}  # noqa: RUF012 Jinja declares it as an instance's

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


def environment(today: date) -> ImmutableSandboxedEnvironment:
    """What chat templates are written for: trimmed blocks, `break`, and the functions that transformers gives them."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    made.filters["tojson"] = _to_json
    made.globals |= {
        "raise_exception": _raise, "strftime_now": today.strftime, "date_string": today.strftime("%d %b %Y"),
    }  # fmt: skip
    return made


def _to_json(value: Any, ensure_ascii: bool = False, **how: Any) -> str:
    """Unlike Jinja's own filter it does not escape HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **how)


def _raise(message: str) -> None:
    raise TemplateError(message)


def limit(seconds: int) -> None:
    """Ends this process (SIGXCPU) after so much computing, even if nobody waits for it any more."""
    # At its hard limit a process is killed with SIGKILL, which would say nothing of the reason.
    for what, soft, hard in (
        (resource.RLIMIT_CPU, seconds, seconds + 1),
        (resource.RLIMIT_AS, _MEMORY, _MEMORY),
    ):
        with suppress(ValueError, OSError):  # macOS has no limit of memory
            resource.setrlimit(what, (soft, hard))


def render(
    made: ImmutableSandboxedEnvironment,
    template: str,
    chats: Sequence[tuple[list[dict[str, str]], bool]],
    variables: Mapping[str, Any],
    characters: int,
) -> list[str]:
    """The texts of the chats, each no longer than `characters`."""
    compiled = made.from_string(template)
    return [
        _cut_short(
            compiled.generate(
                messages=messages, tools=None, documents=None, add_generation_prompt=asked, **variables
            ),
            characters,
        )
        for messages, asked in chats
    ]


def _cut_short(parts: Any, characters: int) -> str:
    kept, length = [], 0
    for part in parts:
        kept.append(part)
        length += len(part)
        if length > characters:
            raise TemplateError(f"it writes more than {characters:,} characters")
    return "".join(kept)


def main() -> None:
    asked = json.load(sys.stdin)
    limit(asked["seconds"])
    made = environment(date.fromisoformat(asked["today"]))
    texts = render(made, asked["template"], asked["chats"], asked["variables"], asked["characters"])
    json.dump(texts, sys.stdout)


if __name__ == "__main__":
    main()
