"""Answering: a question from a context. The model writes JSON; the value is a string, or NULL if the context has no
answer.

Here NULL can be a right answer: `status` says whether a row was answered.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from pydantic import StrictBool, model_validator

from sparklabel.tasks.answer_modes import Generated, ParsedAnswer, WrittenField, one_field
from sparklabel.tasks.comparison import text_agreement
from sparklabel.tasks.json_values import json_text, parse_located, value_spans
from sparklabel.tasks.schema import object_schema, or_null, text_schema
from sparklabel.tasks.spans import aligned
from sparklabel.tasks.structs import checked_text
from sparklabel.tasks.task import Count, Task, column_title

_FIELD = "answer"
_LONGEST = 300
_SCHEMA = json.dumps(object_schema({_FIELD: or_null(text_schema(_LONGEST))}))


class Answering(Task):
    """What answer to the question, the first input, does the context, the second input, give? With `extractive`, word
    for word.

    The question comes first, as in `answering(...)`, in examples and in the columns of the UDF. A model that reads left
    to right then reads the context with the question in mind (query-aware contextualization, Liu et al. 2023,
    arXiv:2307.03172), and if a row is too long for the model, the end of its context is cut.
    """

    kind: Literal["answering"] = "answering"
    extractive: StrictBool = False
    max_tokens: Count = 128

    @model_validator(mode="after")
    def _two_inputs_and_right_examples(self) -> "Answering":
        if len(self.inputs) != 2:
            raise ValueError(f"the inputs are a question and a context, not {list(self.inputs)}")
        for example in self.examples:
            if not _accepts(example.answer):
                raise ValueError(f"an example is answered {example.answer!r}, which is neither text nor null")
            if self.extractive and example.answer and not aligned([example.answer], example.inputs[1])[0]:
                raise ValueError(
                    f"an example is answered {example.answer!r}, which its context does not hold"
                )
        return self

    @property
    def needs_every_input(self) -> bool:
        return True

    @property
    def answer_mode(self) -> Generated:
        return Generated(
            schema=_SCHEMA, max_tokens=self.max_tokens, read=partial(_read, self.extractive), written=_written,
            accepts=_accepts, categories=_categories, agreement=_agreement,
            field_agreement=partial(one_field, _agreement),
            signature=(_FIELD, "extractive" if self.extractive else "free"), metrics="answering",
        )  # fmt: skip

    def question(self) -> str:
        """The instructions, then the form of an answer."""
        question, context = (column_title(column).lower() for column in self.inputs)
        default = f"Answer the {question} from the {context} alone."
        copied = "copied from it word for word, " if self.extractive else ""
        return (
            f'{self.instructions.strip() or default}\nAnswer with one JSON object, {{"answer": ...}}: a short text, '
            f"{copied}or null where the {context} does not say."
        )

    def verbalize(self, answer: Any) -> str:
        return _written(answer)


def _agreement(gold: Any, value: Any) -> float:
    """ "No answer" is right only if gold has no answer either."""
    if not gold or not value:
        return float(not gold and not value)
    return text_agreement(gold, value)


def _read(extractive: bool, text: str, inputs: Sequence[str]) -> ParsedAnswer:
    found = parse_located(text)
    if set(found.fields) != {_FIELD}:
        raise ValueError(f"the answer is not a JSON object with {_FIELD!r} alone")
    answer = found.fields[_FIELD]
    fields = (WrittenField(_FIELD, value_spans(answer)),)
    if answer.value is None:
        return ParsedAnswer(None, fields)
    if not checked_text(answer.value).strip():
        raise ValueError("the answer is blank")
    return ParsedAnswer(_quoted(answer.value, inputs[1]) if extractive else answer.value, fields)


def _quoted(answer: str, context: str) -> str:
    """The passage of the context that the answer quotes, as the context has it."""
    if (place := aligned([answer], context)[0]) is None:
        raise ValueError(f"the answer {answer!r} is not in the context")
    return context[slice(*place)]


def _written(value: str | None) -> str:
    return json_text({_FIELD: value})


def _accepts(value: Any) -> bool:
    return value is None or (isinstance(value, str) and bool(value.strip()))


def _categories(value: str | None) -> tuple[str, ...]:
    return ("not answerable",) if value is None else ("answered",)
