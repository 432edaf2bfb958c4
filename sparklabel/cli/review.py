"""People's review: review, flush, agreement, review-user."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from sparklabel.cli.app import app
from sparklabel.cli.options import (
    Column,
    Conf,
    Into,
    Key,
    Table,
    TaskFile,
    TaskFiles,
    absolute,
    optional,
    session,
    settings,
)

_JOURNAL = "The file that holds every answer, until the table has it and after."


@app.command()
def review(
    table: Table,
    task: TaskFiles,
    key: Key = None,
    model: Annotated[str | None, typer.Option(help="The model that the playground begins with.")] = None,
    where: Annotated[str | None, typer.Option(help="Review only rows that meet this SQL condition.")] = None,
    column: Column = None,
    into: Into = None,
    answers: Annotated[
        str | None, typer.Option(help="The table of everybody's answers. By default beside --table.")
    ] = None,
    journal: Annotated[Path, typer.Option(help=_JOURNAL)] = Path("review.db"),
    host: Annotated[
        str, typer.Option(help="The address to listen on. By default only this machine's.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to listen on; 0: any that is free.")
    ] = 8765,
    rows: Annotated[int, typer.Option(min=1, help="Load at most this many distinct inputs.")] = 20_000,
    audit_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="The share of rows that judge models, until there are --judges."),
    ] = 0.3,
    judges: Annotated[
        int, typer.Option(min=0, help="How many rows are to judge models; then 10% are.")
    ] = 100,
    overlap: Annotated[
        float, typer.Option(min=0, max=1, help="The share of these that two people are asked.")
    ] = 0.1,
    goal: Annotated[
        int | None, typer.Option(min=1, help="How many answers to reach, for the progress bar.")
    ] = None,
    flush_every: Annotated[
        float,
        typer.Option(min=1, help="Seconds between two updates of the labels. Each can make an UPDATE fail."),
    ] = 60.0,
    features: Annotated[
        str,
        typer.Option(
            help="What the live probe reads: sentence (vectors), hidden (states), auto (both) or none."
        ),
    ] = "auto",
    users: Annotated[
        Path | None, typer.Option(help="A YAML file of people, with name, role and password of each.")
    ] = None,
    user_header: Annotated[
        str | None, typer.Option(help="The header in which a proxy names its user. Needs --trust.")
    ] = None,
    trust: Annotated[
        list[str] | None, typer.Option(help="The address of a proxy that is trusted. Repeat it for several.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="The certificate for HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show rows, and take no answers.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    conf: Conf = None,
) -> None:
    """Let people answer in the browser, together. Ctrl-C writes everything, and ends it."""
    from sparklabel.reviewing.review_call import ReviewCall
    from sparklabel.tasks import load_task

    call = ReviewCall(
        table=absolute(table), tasks=tuple(load_task(one) for one in task), key=tuple(key) if key else None,
        column=column, into=optional(into), where=where, model=model, answers=optional(answers), journal=journal,
        host=host, port=port, rows=rows, audit_share=audit_share, judges=judges, overlap=overlap, goal=goal,
        flush_every=flush_every, features=features, users=users, user_header=user_header, trust=tuple(trust or ()),
        tls_cert=tls_cert, tls_key=tls_key, read_only=read_only,
    )  # fmt: skip
    print(_run(call, settings(conf), opens_browser=not no_browser))


@app.command()
def flush(
    journal: Annotated[Path, typer.Option(help=_JOURNAL)],
    conf: Conf = None,
) -> None:
    """Write to the table what a review left in its journal."""
    from sparklabel.reviewing.journal import Journal
    from sparklabel.reviewing.table.flush import flush_journal

    if not journal.is_file():
        from sparklabel.errors import SetupError

        raise SetupError(f"There is no journal {journal}.", hint="`sparklabel review` makes one.")
    with Journal(journal):  # one that is in use, or is none, is refused before Spark starts
        pass
    print(flush_journal(session(conf), journal))


@app.command()
def agreement(
    table: Table,
    task: TaskFile,
    key: Key = None,
    column: Column = None,
    into: Into = None,
    answers: Annotated[str | None, typer.Option(help="The answers table, if the review named one.")] = None,
    conf: Conf = None,
) -> None:
    """Show how far people's answers agree, and who differs."""
    from sparklabel.reviewing.agreement_report import agreement as run
    from sparklabel.tasks import load_task

    read = load_task(task)
    where = {"column": column, "into": optional(into), "answers": optional(answers)}
    print(run(session(conf), absolute(table), read, key=key, **where))


@app.command()
def review_user(
    name: Annotated[str, typer.Argument(help="The person's name.")],
    role: Annotated[str, typer.Option(help="reader, annotator, or lead.")] = "annotator",
) -> None:
    """Ask for a password, and print the person's entry for --users."""
    import yaml

    from sparklabel.errors import SetupError
    from sparklabel.reviewing.people import ROLES, checked_name, hashed

    if role not in ROLES:
        raise SetupError(f"{role!r} is not one of {', '.join(ROLES)}.")
    try:
        entry = {"name": checked_name(name), "role": role}
    except ValueError as error:
        raise SetupError(str(error)) from None
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    print(
        yaml.safe_dump([entry | {"password": hashed(password)}], allow_unicode=True, sort_keys=False), end=""
    )


def _run(call: Any, conf: dict[str, str], opens_browser: bool) -> Any:
    """Runs a review until it is interrupted, and returns its report."""
    from sparklabel.progress import tell
    from sparklabel.reviewing.serve import serve
    from sparklabel.termination import FirstInterrupt, sigterm_exits

    with sigterm_exits(), serve(call, conf) as running:
        print(running.url, flush=True)
        if not call.is_local and call.tls_cert is None:
            tell(
                "other machines can reach this review, and nothing is encrypted: use --tls-cert and --tls-key"
            )
        if opens_browser and call.is_local and sys.stdout.isatty():
            webbrowser.open(running.url)
        with FirstInterrupt(tell, "what people answered", "writing") as interrupt:
            said: str | None = ""
            try:
                while not interrupt.heard:
                    if running.loading != said:
                        said = running.loading
                        print(said or "Rows are loaded: people can answer.", file=sys.stderr, flush=True)
                    running.wait(0.2)
                return running.stop()
            except KeyboardInterrupt as second:
                second.add_note(
                    f"what the table does not have is kept: sparklabel flush --journal {call.journal}"
                )
                raise
