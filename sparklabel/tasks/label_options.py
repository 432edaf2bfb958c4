"""Labels with descriptions: the forms in which users may write them, and how a prompt lists them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from sparklabel.texts import composed

NO_ORDER = "a set has no order, which is part of the task: give a list"
"""Python orders a set of strings anew in each process, and with it the task's fingerprint would change."""


class LabelOption(BaseModel):
    """A label as the table holds it, and its description for the prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""


def _list_or_mapping(labels: object) -> object:
    """Accepts a list of names, or a mapping name -> description."""
    if isinstance(labels, Mapping):
        return tuple({**_option(name), "description": text or ""} for name, text in labels.items())
    if isinstance(labels, Set):
        raise ValueError(NO_ORDER)
    if isinstance(labels, Iterable) and not isinstance(labels, str):
        return tuple(_option(label) for label in labels)
    return labels


def _option(label: Any) -> Any:
    if isinstance(label, Mapping | LabelOption):
        return label
    return {"name": text_of(label, "the label")}


def _distinct(labels: tuple[LabelOption, ...]) -> tuple[LabelOption, ...]:
    if not labels:
        raise ValueError("the list of labels is empty")
    seen: dict[str, str] = {}
    for label in labels:
        key = composed(composed(re.sub(r"[\s_]+", "", label.name)).casefold())
        if not key:
            raise ValueError(f"{label.name!r} is a blank label")
        check_legible(label.name)
        if key in seen:
            other = seen[key]
            what = (
                "is given twice"
                if other == label.name
                else f"differs from {other!r} only in Unicode's form"
                if composed(other) == composed(label.name)
                else f"differs from {other!r} only in whitespace or case"
            )
            raise ValueError(f"{label.name!r} {what}")
        seen[key] = label.name
    return labels


LabelOptions = Annotated[
    tuple[LabelOption, ...], BeforeValidator(_list_or_mapping), AfterValidator(_distinct)
]
"""A field of labels, given as a list of names or as a mapping name -> description. They must differ in more than
whitespace, case or Unicode's form, because a model reads and writes them as `verbalize_label` gives them."""


def label_number(labels: tuple[Any, ...], answer: Any) -> int | None:
    """The number of the label that an answer names, in whichever of Unicode's forms; None if it names none."""
    return _numbers(labels).get(composed(answer)) if isinstance(answer, str) else None


def label_named(labels: tuple[str, ...], answer: Any) -> Any:
    """The label that an answer names, as the task writes it; the answer itself if it names none."""
    number = label_number(labels, answer)
    return answer if number is None else labels[number]


@lru_cache(maxsize=64)
def _numbers(labels: tuple[Any, ...]) -> dict[str, int]:
    return {composed(label): number for number, label in enumerate(labels) if isinstance(label, str)}


def check_legible(name: str) -> None:
    """Raises ValueError for a text whose whitespace or control characters nobody would see."""
    if name != name.strip() or not all(map(_is_legible, name)):
        raise ValueError(f"{name!r} has whitespace at an end, or control characters")


def text_of(label: Any, what: str) -> str:
    """The label, which must be text. Raises ValueError, in which `what` says what it is."""
    if not isinstance(label, str) or isinstance(label, Enum):  # a member's text is not its value
        raise ValueError(f"{what} {label!r} is not text (in YAML, put it in quotes)")
    return str(label)


def _is_legible(character: str) -> bool:
    """Whether a label may have it: what can be printed, any blank within a line, and the joiners of Persian, of Indic
    scripts and of emoji."""
    return character.isprintable() or character in "\u200c\u200d" or unicodedata.category(character) == "Zs"


def verbalize_label(name: str) -> str:
    """The label as a model reads and writes it: `card_arrival` becomes "card arrival"."""
    return re.sub(r"[\s_]+", " ", name).strip()


def listed(options: Sequence[tuple[str, str]]) -> str:
    """The options for a prompt: on one line, or one per line if any is described."""
    if any(description for _, description in options):
        return "".join(f"\n- {verbalized}: {description.strip()}" for verbalized, description in options)
    return f" {', '.join(verbalized for verbalized, _ in options)}."


def as_written(labels: Sequence[LabelOption]) -> list[str] | dict[str, str]:
    """Labels as YAML holds them: a list of names, or a mapping if one is described."""
    described = any(label.description for label in labels)
    names = {label.name: label.description for label in labels}
    return names if described else list(names)
