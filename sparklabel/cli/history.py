"""What passes did: passes, undo, failures."""

from typing import Annotated

import typer

from sparklabel.cli.app import app
from sparklabel.cli.options import Column, Conf, Into, Key, Table, TaskFile, absolute, optional, session


@app.command()
def passes(table: Table, conf: Conf = None) -> None:
    """List the passes over a table, newest first."""
    from sparklabel.table import passes as run

    run(session(conf), absolute(table)).show(1000, truncate=False, vertical=True)


@app.command()
def undo(
    table: Table,
    pass_id: Annotated[str, typer.Option("--pass", help="The pass, as `sparklabel passes` lists it.")],
    conf: Conf = None,
) -> None:
    """Take a pass back: its rows get the labels that they had before it."""
    from sparklabel.table import undo_pass

    print(undo_pass(session(conf), absolute(table), pass_id))


@app.command()
def failures(
    table: Table,
    task: TaskFile,
    key: Key,
    column: Column = None,
    into: Into = None,
    rows: Annotated[int, typer.Option(min=1, help="How many to show.")] = 20,
    conf: Conf = None,
) -> None:
    """Show the rows that have no answer because something failed."""
    from sparklabel.table import failures as run
    from sparklabel.tasks import load_task

    found = run(session(conf), absolute(table), load_task(task), key=key, column=column, into=optional(into))
    found.groupBy("status").count().orderBy("status").show()
    found.show(rows, truncate=80)
