"""Prompts: a task and a row become token ids, a shared prefix and what follows it."""

from sparklabel.prompts.answer_tokens import answer_ids, check_same_ids
from sparklabel.prompts.encoder import Candidates, Prompt, PromptEncoder, shares
from sparklabel.prompts.templates import (
    Piece,
    PromptTemplate,
    bare_template,
    chat_template,
    example_text,
    fitting,
    offering,
)
from sparklabel.prompts.tokenizer import Tokenizer

__all__ = [
    "Candidates",
    "Piece",
    "Prompt",
    "PromptEncoder",
    "PromptTemplate",
    "Tokenizer",
    "answer_ids",
    "bare_template",
    "chat_template",
    "check_same_ids",
    "example_text",
    "fitting",
    "offering",
    "shares",
]
