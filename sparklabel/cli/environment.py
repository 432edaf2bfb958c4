"""This machine: demo, doctor, fetch, jars."""

from pathlib import Path
from typing import Annotated

import typer

from sparklabel.cli.app import app
from sparklabel.models.references import DEFAULT
from sparklabel.progress import tell


@app.command()
def demo(
    dir: Annotated[Path, typer.Option(help="The folder for tables and models.")] = Path("sparklabel-demo"),
    rows: Annotated[
        int, typer.Option(min=1, help="Rows to label. Another 500 are set aside for testing.")
    ] = 1500,
    answers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Rows that simulated people answer: 800, or 400 with --people.", show_default=False
        ),
    ] = None,
    people: Annotated[
        bool,
        typer.Option("--people", help="Answer in the review page, with a scripted browser (needs Chromium)."),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="A JSON Lines file to use instead of the movie reviews.")
    ] = None,
    text: Annotated[str, typer.Option(help="With --data: the field that holds the text.")] = "text",
    label: Annotated[str, typer.Option(help="With --data: the field that holds the right label.")] = "label",
) -> None:
    """Run the whole loop on this machine: label, answer, fine-tune, label again."""
    from sparklabel.demo.run import run_demo

    try:
        run_demo(dir, rows, answers, data, text, label, people=people)
    except KeyboardInterrupt:
        tell(f"interrupted; the demo starts anew when it is run again, with the tables in {dir}")
        raise typer.Exit(130) from None


@app.command()
def doctor(
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also try Spark, a Delta table, and MLflow's store."),
    ] = False,
) -> None:
    """Check this machine: what works, what does not, and how to fix it."""
    from sparklabel.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(deep=deep))


@app.command()
def fetch() -> None:
    """Download Delta's jars and convert the embedded model, once; print where they are."""
    from sparklabel import registry
    from sparklabel.delta.jars import delta_jars

    def model() -> Path:
        return registry.fetch(registry.resolve(DEFAULT)).base

    for what, get in (("Delta's jars", lambda: delta_jars()[0].parent), (DEFAULT, model)):
        print(f"{what}: ", end="", flush=True)
        print(get(), flush=True)


@app.command()
def jars() -> None:
    """Print the paths of Delta's jars, separated by commas, for spark-submit --jars."""
    from sparklabel.delta.jars import delta_jars

    print(",".join(map(str, delta_jars())))
