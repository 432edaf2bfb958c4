"""What a model's chat template writes around messages, found out once a host.

In: the template and the tokenizer's special tokens. Out: three chats as text. The template is a program that came with
the model: a child process renders it, within limits, and the texts are kept in the cache, so that of all workers on a
host the first one pays for it. What follows from the texts is decided by `ModelTokenizer`.
"""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sparklabel.cache_builds import build_once
from sparklabel.cache_dir import cache_folder
from sparklabel.errors import ModelError, SetupError

MARK = "SPARKLABELCONTENT"
"""Stands for what a message says."""
SECONDS = 10.0
"""A template takes milliseconds, and the child's start a tenth of a second."""
_CHARACTERS = 100_000
_TODAY = date(2024, 7, 26)
"""The date that chat templates are given: the one that Llama 3.1's template has as its default. Today's (Llama 3.1's
reads `date_string`, others `strftime_now`) would change the prompt every day, and the same model would disagree with
its own labels of yesterday."""
_THINKING = {"enable_thinking": False}
"""Models that think first (Qwen3) are told not to: the answer is read where they would begin thinking."""
_FILE = "texts.json"
_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What some interpreters need to start."""


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """Three chats as the template writes them; what is said in them is `MARK`.

    `question`: the user's message, up to where the assistant's answer begins. `answered`: the same, and the answer.
    `closed`: also, but the user's message is "a", so that the mark is the answer alone.
    """

    question: str
    answered: str
    closed: str


_QUESTION = {"role": "user", "content": MARK}
_ANSWER = {"role": "assistant", "content": MARK}
_CHATS = (
    ([_QUESTION], True), ([_QUESTION, _ANSWER], False), ([{"role": "user", "content": "a"}, _ANSWER], False),
)  # fmt: skip


def chat_format(
    template: str, special_tokens: Mapping[str, Any], model: str, *, seconds: float = SECONDS
) -> ChatFormat:
    """The three chats, from the cache or rendered now.

    Args:
        template: The chat template (Jinja).
        special_tokens: The tokenizer's special tokens by their names, which templates print.
        model: What an error calls the model.
        seconds: The time after which the child process is ended.

    Raises:
        ModelError: The template does not end in time, fails, or writes too much.
    """
    asked = json.dumps(
        {
            "template": template, "chats": _CHATS, "variables": {**special_tokens, **_THINKING},
            "today": _TODAY.isoformat(), "seconds": math.ceil(seconds), "characters": _CHARACTERS,
        },
        default=str,
    )  # fmt: skip
    program = _program()
    key = sha256(f"{program}\0{asked}".encode()).hexdigest()[:32]
    named = f"{model} ({template[:60]!r})"
    try:
        kept = build_once(
            cache_folder("chats") / key,
            lambda to: _write(to / _FILE, _rendered(program, asked, named, seconds)),
        )
    except (OSError, SetupError):  # the cache cannot be written, or others may write it
        return _rendered(program, asked, named, seconds)
    return ChatFormat(**json.loads((kept / _FILE).read_text("utf-8")))


def _write(file: Path, found: ChatFormat) -> None:
    file.write_text(json.dumps(asdict(found)), "utf-8")


def _rendered(program: str, asked: str, model: str, seconds: float) -> ChatFormat:
    # Neither the environment, which has secrets, nor the user's site is the child's; it finds Jinja where we found it.
    search = f"import sys; sys.path += {_homes()!r}\n"
    command = [sys.executable, "-I", "-S", "-c", search + program]
    try:
        run = subprocess.run(
            command, input=asked, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=seconds,
            cwd="/", env={name: value for name, value in os.environ.items() if name in _ENVIRONMENT},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _endless(model, seconds) from None
    if run.returncode == -signal.SIGXCPU:  # its own limit came first: this process was kept waiting
        raise _endless(model, seconds)
    if run.returncode:
        said = (run.stderr.strip().splitlines() or [f"signal {-run.returncode}"])[-1][:300]
        raise ModelError(f"The chat template of the model {model} fails: {said}", hint=_HINT)
    return ChatFormat(*json.loads(run.stdout))


def _endless(model: str, seconds: float) -> ModelError:
    return ModelError(
        f"The chat template of the model {model} does not end within {seconds:g} seconds.", hint=_HINT
    )


_HINT = "Templates of well-known models take milliseconds. Use a model whose origin you know, or mend the template."


def _program() -> str:
    """The child's source, also where this package lies in a zip."""
    spec = find_spec("sparklabel.language_model.chat_renderer")
    loader: Any = spec and spec.loader
    return str(loader.get_source(spec.name)) if spec else ""


def _homes() -> list[str]:
    """Where Jinja and what it needs were found."""
    specs = [find_spec(name) for name in ("jinja2", "markupsafe")]
    return [str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin]
