"""Options that several commands take, and how their texts are read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sparklabel.delta.paths import is_absolute
from sparklabel.errors import SparklabelError

Table = Annotated[str, typer.Option(help="The Delta table: a name or a path.")]
TaskFile = Annotated[Path, typer.Option(help="The task's YAML file, as in conf/tasks/.")]
TaskFiles = Annotated[
    list[Path], typer.Option(help="The task's YAML file, as in conf/tasks/. Repeat it for several tasks.")
]
_KEY = "A column that identifies each row. Repeat it for several columns."
Key = Annotated[
    list[str] | None, typer.Option(help=f"{_KEY} Only the first pass needs it: the table remembers it.")
]
OptionalKey = Annotated[
    list[str] | None, typer.Option("--key", help=f"{_KEY} Needed only to compare with people's answers.")
]
Model = Annotated[
    str, typer.Option(help="A hub id, a local folder, models:/NAME@ALIAS, or models:/NAME/VERSION.")
]
EngineOption = Annotated[str, typer.Option(help="The engine: auto, transformers, vllm, openai, or fake.")]
EngineOptions = Annotated[
    list[str] | None,
    typer.Option(help="An option of the engine, as NAME=VALUE. Repeat it for several options."),
]
Column = Annotated[
    str | None, typer.Option(help="The column of the values. By default it is named like the task.")
]
Into = Annotated[
    str | None, typer.Option(help="A table of key and labels to use instead; --table is then only read.")
]
AdoptExamples = Annotated[
    bool,
    typer.Option(
        "--adopt-examples",
        help="Let examples_from read a column that no pass wrote, and take its values as human answers.",
    ),
]
UnsafeStore = Annotated[
    bool,
    typer.Option(
        "--allow-unsafe-store",
        help="Write on S3 without a log store that excludes other drivers. Only safe if no one else writes there.",
    ),
]
Conf = Annotated[
    list[str] | None, typer.Option(help="A Spark setting, as KEY=VALUE. Repeat it for several settings.")
]


def absolute(table: str) -> str:
    """A table as Spark takes it: a path relative to this folder becomes absolute; names and URIs stay."""
    relative = "/" in table and "`" not in table and not is_absolute(table)
    return str(Path(table).expanduser().absolute()) if relative else table


def optional(path: str | None) -> str | None:
    """As `absolute`, for an option that may be missing. An empty text stays empty and is refused later: it may come
    from a shell variable that is not set."""
    return absolute(path) if path else path


def folder(path: str | None) -> str | None:
    """A folder of a file system: a relative path becomes absolute."""
    return str(Path(path).expanduser().absolute()) if path and "://" not in path else path


def part(shard: str | None) -> Any:
    """NUMBER/COUNT as `shard=` takes it. Anything else stays a text, which is refused later."""
    numbers = shard.split("/") if shard else []
    return tuple(map(int, numbers)) if len(numbers) == 2 and all(map(str.isdecimal, numbers)) else shard


def session(conf: Sequence[str] | None) -> Any:
    """A local Spark with Delta, or the one that spark-submit started."""
    from sparklabel.delta.session import spark_session

    return spark_session(_pairs("--conf", conf))


def engine_options(given: Sequence[str] | None) -> dict[str, Any]:
    """NAME=VALUE pairs as options: numbers, true and false are read as such; anything else is text."""

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
