"""The tokenizer as prompts see it, whichever engine has it."""

from collections.abc import Sequence
from typing import Protocol


class Tokenizer(Protocol):
    """What prompts need of a tokenizer.

    `bos` is the text of the token that must come first, or empty; `stop_ids` are the tokens that end an answer;
    `context` is how many tokens a prompt and its answer may take together. `encode` takes trusted text, in which
    special tokens count; `encode_rows` takes any text, in which none do. Some tokenizers put a blank before any text:
    text `inside` a prompt is encoded without it, and so are rows unless they come right `behind` trusted text that such
    a blank follows. `chat` is the text before and after the user's message, None without a chat format; `chat_lead` is
    what the model writes before every answer.
    """

    bos: str
    stop_ids: tuple[int, ...]
    context: int

    def encode(self, text: str, *, inside: bool = False) -> list[int]: ...
    def encode_rows(self, texts: Sequence[str], *, behind: str | None = None) -> list[list[int]]: ...
    def chat(self) -> tuple[str, str] | None: ...
    def chat_lead(self) -> str: ...
