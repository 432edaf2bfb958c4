"""Prompts as text, for models behind HTTP: their server has the tokenizer and the chat format.

In: the text of prompts. Out: ids that are Unicode code points, and two ids beyond Unicode for the beginnings of the
user's and the assistant's turn, which no text can produce; and the user's message from such ids. The context is counted
in characters.
"""

import re
from collections.abc import Iterable, Sequence

USER, ASSISTANT = 0x110000, 0x110001
_TURNS = {"<user>": USER, "<assistant>": ASSISTANT}
_TURN = re.compile(f"({'|'.join(_TURNS)})")

_IMITATIONS = re.compile(
    r"<[|｜][^<>\s]{1,40}>|<[^<>\s]{1,40}[|｜]>"  # ChatML, Llama 3, Phi, DeepSeek, Gemma 4
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>|</?s>"  # Llama 2, Mistral
    r"|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|</?(?:think|tool_call|tool_response)>",  # Gemma, Qwen
    re.IGNORECASE,
)
"""Text that some model's tokenizer reads as a special token. A server tokenizes a message after it has put it into the
chat format, and few servers keep its text apart."""

_INVISIBLE = "\N{ZERO WIDTH SPACE}"


class TextTokenizer:
    """One id per character. Only trusted text can begin a turn: rows are encoded as they are."""

    bos: str = ""
    stop_ids: tuple[int, ...] = ()

    def __init__(self, context: int) -> None:
        self.context = context

    def encode(self, text: str, *, inside: bool = False) -> list[int]:
        parts = _TURN.split(text)
        return [i for part in parts for i in ([_TURNS[part]] if part in _TURNS else map(ord, part))]

    def encode_rows(self, texts: Sequence[str], *, behind: str | None = None) -> list[list[int]]:
        return [list(map(ord, text)) for text in texts]

    def chat(self) -> tuple[str, str] | None:
        return "<user>", "<assistant>"

    def chat_lead(self) -> str:
        return ""


def as_text(ids: Iterable[int]) -> str:
    """The text of the ids, without the beginnings of turns."""
    return "".join(chr(i) for i in ids if i < USER)


def neutralized(text: str) -> tuple[str, int]:
    """The text with an invisible character in each imitation of a special token, and how many there were. People and
    models read the same text; no tokenizer finds the token."""
    return _IMITATIONS.subn(lambda found: found[0][0] + _INVISIBLE + found[0][1:], text)
