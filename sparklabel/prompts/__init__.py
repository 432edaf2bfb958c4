"""Prompts: a task and its rows become token ids, a shared prefix and the rest of each row."""

from sparklabel.prompts.answer_tokens import answer_ids, check_same_ids
from sparklabel.prompts.encoder import Prompt, PromptEncoder, PromptPart, RowCandidates, shares
from sparklabel.prompts.row_tokens import RowEncoder, RowTokens
from sparklabel.prompts.templates import (
    Piece,
    PromptTemplate,
    bare_template,
    candidate_labels,
    chat_template,
    example_text,
    fitting,
)
from sparklabel.prompts.tokenizer import Tokenizer

__all__ = [
    "Piece",
    "Prompt",
    "PromptEncoder",
    "PromptPart",
    "PromptTemplate",
    "RowCandidates",
    "RowEncoder",
    "RowTokens",
    "Tokenizer",
    "answer_ids",
    "bare_template",
    "candidate_labels",
    "chat_template",
    "check_same_ids",
    "example_text",
    "fitting",
    "shares",
]
