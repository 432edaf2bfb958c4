"""The token ids of a task's answers, as a model writes them after the prompt.

In: a template, a tokenizer, answers as text. Out: their ids, checked.
"""

from collections.abc import Sequence

from sparklabel.errors import ModelError, TaskError
from sparklabel.label_trie import TokenPath
from sparklabel.prompts.templates import PromptTemplate
from sparklabel.prompts.tokenizer import Tokenizer


def answer_ids(
    template: PromptTemplate, tokenizer: Tokenizer, answers: Sequence[str]
) -> tuple[TokenPath, ...]:
    """Each answer's token ids after the prompt, tokenized together with the prompt's last piece.

    Raises TaskError if the joint tokenization does not begin with that piece's own ids: such an answer would be scored
    along tokens that the model never writes.
    """
    last = template.pieces[-1].text
    header = tokenizer.encode(last, inside=True)
    paths = []
    for answer in answers:
        joint = tokenizer.encode(last + template.answer_lead + answer, inside=True)
        apart = tokenizer.encode_rows([template.answer_lead + answer])[0]
        if joint[: len(header)] != header or joint[len(header) :] != apart:
            raise TaskError(
                f"The label {answer!r} does not tokenize cleanly after the prompt.",
                hint="Spell it differently.",
            )
        paths.append(tuple(apart))
    return tuple(paths)


def check_same_ids(recorded: Sequence[Sequence[int]], now: Sequence[Sequence[int]], model: str) -> None:
    """Raises ModelError if a fine-tuned model's label ids differ from what its tokenizer gives now."""
    if [list(path) for path in recorded] != [list(path) for path in now]:
        raise ModelError(f"{model} was trained with other label ids than its tokenizer gives.")
