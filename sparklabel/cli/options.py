"""Options that several commands take, and how their texts are read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main

from sparklabel.cli.app import app
from sparklabel.delta.paths import is_relative_table
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
Fallback = Annotated[
    str | None,
    typer.Option(help="A second model, as --model, asked about what the first one is not sure of."),
]
FallbackEngine = Annotated[
    str | None, typer.Option(help="The fallback's engine. By default the first model's, with its options.")
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
NumProcesses = Annotated[int, typer.Option(help="How many processes train, each in a slot of the cluster.")]
MinProcesses = Annotated[
    int | None,
    typer.Option(help="With how many it goes on when executors are lost. By default with no fewer."),
]
UseGpu = Annotated[
    bool | None,
    typer.Option("--use-gpu/--no-use-gpu", help="A GPU for each process. By default if executors have any."),
]
CheckpointMinutes = Annotated[float, typer.Option(help="How often a checkpoint is written.")]
Conf = Annotated[
    list[str] | None, typer.Option(help="A Spark setting, as KEY=VALUE. Repeat it for several settings.")
]


def absolute(table: str) -> str:
    """A table as Spark takes it: a path relative to this folder becomes absolute; names and URIs stay."""
    return str(Path(table).expanduser().absolute()) if is_relative_table(table) else table


def optional(path: str | None) -> str | None:
    """As `absolute`, for an option that may be missing. An empty text stays empty and is refused later: it may come
    from a shell variable that is not set."""
    return absolute(path) if path else path


def folder(path: str | None) -> str | None:
    """A folder of a file system: a relative path becomes absolute."""
    return str(Path(path).expanduser().absolute()) if path and "://" not in path else path


def part(shard: str | None) -> Any:
    """NUMBER/COUNT as `shard=` takes it. Raises TableError for anything else."""
    from sparklabel.table.shards import Shard

    numbers = shard.split("/") if shard else []
    found: Any = shard
    if len(numbers) == 2 and all(map(str.isdecimal, numbers)):
        found = tuple(map(int, numbers))
    Shard.checked(found)
    return found


def number_or_word(text: str) -> float | str:
    """The number that it says, or the text."""
    try:
        return float(text)
    except ValueError:
        return text


def session(conf: Sequence[str] | None) -> Any:
    """A local Spark with Delta, or the one that spark-submit started."""
    from sparklabel.delta.session import spark_session

    return spark_session(settings(conf))


def settings(conf: Sequence[str] | None) -> dict[str, str]:
    """Spark settings, as `--conf` gives them."""
    return _pairs("--conf", conf)


def engine_options(command: str, engine: str, given: Sequence[str] | None) -> dict[str, Any]:
    """NAME=VALUE pairs as options of the engine: numbers, true and false are read as such; anything else is text.

    Raises:
        SparklabelError: The engine does not take them. A name of another argument would reach the function that the
            command calls as that argument.
    """
    from sparklabel.engines import engine_spec, option_names

    def read(text: str) -> Any:
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, int | float) else text

    options = {name: read(value) for name, value in _pairs("--option", given).items()}
    known, others = option_names(engine), _option_of(command)
    for name in options:
        if name in others and name not in known:
            raise SparklabelError(f"--option {name} is not an option of an engine; write {others[name]}.")
    engine_spec(engine, options)
    return options


def _option_of(command: str) -> dict[str, str]:
    """The command's own options, by the name of their parameter."""
    commands: Any = typer.main.get_command(app)
    return {param.name: param.opts[0] for param in commands.commands[command].params}


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    pairs = [setting.partition("=") for setting in given or ()]
    for key, mark, value in pairs:
        if not mark or not key:
            wrong = f"{key} has no value" if key else f"{mark}{value} has no name"
            raise SparklabelError(f"{option} {wrong}.", hint=f"Write {option} NAME=VALUE.")
    return {key: value for key, _, value in pairs}
