"""What prompts need of a tokenizer."""

from collections.abc import Sequence
from typing import Protocol


class Tokenizer(Protocol):
    """What prompts need of a tokenizer. `bos` is the text of the token that must come first, or empty.

    Some tokenizers put a blank before whatever they are given. Text that is `inside` a prompt, and rows unless they
    come right `behind` trusted text that is followed by such a blank, are encoded without it.
    """

    bos: str
    stop_ids: tuple[int, ...]
    context: int

    def encode(self, text: str, *, inside: bool = False) -> list[int]: ...
    def encode_rows(self, texts: Sequence[str], *, behind: str | None = None) -> list[list[int]]: ...
    def chat(self) -> tuple[str, str] | None: ...
    def chat_lead(self) -> str: ...
