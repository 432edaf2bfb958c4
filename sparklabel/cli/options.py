"""Options that several commands take, and what becomes of their texts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sparklabel.delta.paths import is_absolute
from sparklabel.errors import SparklabelError

Table = Annotated[str, typer.Option(help="The Delta table: a name, or a path.")]
TaskFile = Annotated[Path, typer.Option(help="The task's YAML file (see conf/tasks/).")]
TaskFiles = Annotated[
    list[Path], typer.Option(help="The task's YAML file (see conf/tasks/); repeat it for several tasks.")
]
Key = Annotated[list[str], typer.Option(help="A column that names each row once; repeat it for several.")]
OptionalKey = Annotated[
    list[str] | None, typer.Option("--key", help="A column that names each row once; repeat it for several.")
]
Model = Annotated[
    str, typer.Option(help="Hub id, local folder, models:/NAME@ALIAS, or the embedded default.")
]
EngineOption = Annotated[str, typer.Option(help="auto, transformers, vllm, openai or fake.")]
EngineOptions = Annotated[
    list[str] | None, typer.Option(help="An option of the engine, NAME=VALUE; repeat it for several.")
]
Conf = Annotated[list[str] | None, typer.Option(help="A Spark setting, KEY=VALUE; repeat it for several.")]
Into = Annotated[
    str | None, typer.Option(help="The table that has the labels, or will: the labelled one is only read.")
]
Column = Annotated[str | None, typer.Option(help="The value column, where it is not the task's name.")]


def absolute(table: str) -> str:
    """A table's path as Spark takes it: not relative to this folder; names and URIs stay."""
    relative = "/" in table and "`" not in table and not is_absolute(table)
    return str(Path(table).expanduser().absolute()) if relative else table


def optional(path: str | None) -> str | None:
    """An empty text stays one, and is refused: it may be a variable that is not set."""
    return absolute(path) if path else path


def session(conf: Sequence[str] | None) -> Any:
    """A local Spark with Delta, or the one that spark-submit started."""
    from sparklabel.delta.session import spark_session

    return spark_session(_pairs("--conf", conf))


def engine_options(given: Sequence[str] | None) -> dict[str, Any]:
    """What the shell gives as text, as Python has it: numbers, true and false; all else is text."""

    def read(text: str) -> Any:
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, int | float) else text

    return {name: read(value) for name, value in _pairs("--option", given).items()}


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    pairs = [setting.partition("=") for setting in given or ()]
    if wrong := [key for key, mark, _ in pairs if not mark]:
        raise SparklabelError(f"{option} {wrong[0]} has no value.", hint=f"Write {option} NAME=VALUE.")
    return {key: value for key, _, value in pairs}
