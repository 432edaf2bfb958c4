"""This machine: demo, doctor, fetch."""

from pathlib import Path
from typing import Annotated

import typer

from sparklabel.cli.app import app
from sparklabel.models.references import DEFAULT


@app.command()
def demo(
    dir: Annotated[Path, typer.Option(help="Where tables and models go.")] = Path("sparklabel-demo"),
    rows: Annotated[int, typer.Option(min=1, help="Rows to label, beside 500 test rows.")] = 1500,
    answers: Annotated[int, typer.Option(min=1, help="Rows that the simulated people answer.")] = 800,
    data: Annotated[Path | None, typer.Option(help="A JSON lines file instead of the movie reviews.")] = None,
    text: Annotated[str, typer.Option(help="The field with the text, in --data.")] = "text",
    label: Annotated[str, typer.Option(help="The field with the right label, in --data.")] = "label",
) -> None:
    """Run the whole loop on this machine: label, answer, fine-tune, label anew."""
    from sparklabel.demo.run import run_demo

    run_demo(dir, rows, answers, data, text, label)


@app.command()
def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Also write and read a Delta table.")] = False,
) -> None:
    """Check this machine: what works, what does not, and what to do about it."""
    from sparklabel.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(deep=deep))


@app.command()
def fetch() -> None:
    """Fetch once what is not in the packages: Delta's jars; and convert the embedded model."""
    from sparklabel.delta.jars import delta_jars
    from sparklabel.models.references import embedded_model

    for what, get in (("Delta's jars", lambda: delta_jars()[0].parent), (DEFAULT, embedded_model)):
        print(f"{what}: ", end="", flush=True)
        print(get(), flush=True)
