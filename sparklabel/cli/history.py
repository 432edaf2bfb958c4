"""What passes did and left: passes, undo, restore, failures, cache, tidy."""

from typing import Annotated

import typer

from sparklabel.cli.app import app
from sparklabel.cli.options import (
    Column,
    Conf,
    Into,
    Key,
    Table,
    TaskFile,
    UnsafeStore,
    absolute,
    optional,
    session,
)
from sparklabel.cli.show import show


@app.command()
def passes(table: Table, conf: Conf = None) -> None:
    """List the passes over a table, newest first."""
    from sparklabel.table import passes as run

    show(run(session(conf), absolute(table)), 1000, vertical=True)


@app.command()
def undo(
    table: Table,
    pass_id: Annotated[str, typer.Option("--pass", help="The pass, by its id in `sparklabel passes`.")],
    allow_unsafe_store: UnsafeStore = False,
    conf: Conf = None,
) -> None:
    """Undo a pass: its rows get back the labels that they had before."""
    from sparklabel.table import undo_pass

    print(undo_pass(session(conf), absolute(table), pass_id, allow_unsafe_store=allow_unsafe_store))


@app.command()
def restore(
    table: Table,
    task: TaskFile,
    column: Column = None,
    from_version: Annotated[
        int | None, typer.Option(help="The version of the table to take answers from.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, without doing it.")
    ] = False,
    allow_unsafe_store: UnsafeStore = False,
    conf: Conf = None,
) -> None:
    """Put people's answers back into a table that was made anew, from its history."""
    from sparklabel.table import restore_answers
    from sparklabel.tasks import load_task

    read = load_task(task)
    report = restore_answers(
        session(conf), absolute(table), read, column=column, from_version=from_version,
        dry_run=dry_run, allow_unsafe_store=allow_unsafe_store,
    )  # fmt: skip
    print(report)


@app.command()
def failures(
    table: Table,
    task: TaskFile,
    key: Key = None,
    column: Column = None,
    into: Into = None,
    rows: Annotated[int, typer.Option(min=1, help="How many rows to show.")] = 20,
    conf: Conf = None,
) -> None:
    """Show the rows that have no answer because something failed, by status."""
    from sparklabel.table import failures as run
    from sparklabel.tasks import load_task

    read = load_task(task)
    found = run(session(conf), absolute(table), read, key=key, column=column, into=optional(into))
    show(found.groupBy("status").count().orderBy("status"), rows)
    show(found, rows, truncate=80)


@app.command()
def cache(
    table: Annotated[
        str, typer.Option(help="The Delta table: a name or a path; or the folder of the answer cache.")
    ],
    clear: Annotated[bool, typer.Option("--clear", help="Delete the answers.")] = False,
    task: Annotated[
        str | None, typer.Option(help="With --clear: delete the answers of this task only, by its name.")
    ] = None,
    allow_unsafe_store: UnsafeStore = False,
    conf: Conf = None,
) -> None:
    """Show what the answer cache holds, or clear it."""
    from sparklabel.labeling import cache_summary, clear_cache

    spark = session(conf)
    if clear:
        removed = clear_cache(spark, absolute(table), task, allow_unsafe_store=allow_unsafe_store)
        print(f"{removed:,} answers were deleted from the cache; labels in tables stay")
    else:
        show(cache_summary(spark, absolute(table)), 1000, vertical=True)


@app.command()
def tidy(
    table: Table,
    into: Into = None,
    staging: Annotated[
        str | None, typer.Option(help="The folder that passes were given as --staging.")
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(help="The folder that passes were given as --cache, if they served this table alone."),
    ] = None,
    allow_unsafe_store: UnsafeStore = False,
    conf: Conf = None,
) -> None:
    """Remove what passes left of rows that were deleted from the table."""
    from sparklabel.labeling import tidy as run

    folders = {"into": optional(into), "staging": optional(staging), "cache": optional(cache)}
    print(run(session(conf), absolute(table), **folders, allow_unsafe_store=allow_unsafe_store))
