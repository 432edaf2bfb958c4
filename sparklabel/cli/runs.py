"""`sparklabel runs`: the queue of training runs."""

from pathlib import Path
from typing import Annotated

import typer

from sparklabel.cli.app import app
from sparklabel.cli.options import Conf, session

runs = typer.Typer(help="Queue training runs, and work at them.", no_args_is_help=True, add_completion=False)
app.add_typer(runs, name="runs")

Queue = Annotated[
    str | None,
    typer.Option(
        help="The database: sqlite:////path/runs.db, or postgresql://user@host/name. By default SPARKLABEL_RUNS of the "
        "environment, or sparklabel-runs.db in this folder.",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Argument(help="A submission, such as intent-1, or one of its runs: intent-1/3.")]


@runs.command()
def submit(
    file: Annotated[Path, typer.Argument(help="A YAML file, as in conf/runs/.")],
    name: Annotated[
        str | None, typer.Option(help="What it is called. By default the task and a number.")
    ] = None,
    priority: Annotated[int | None, typer.Option(help="Of runs that wait, the highest comes first.")] = None,
    queue: Queue = None,
) -> None:
    """Queue the run, or the search, that a file describes."""
    from sparklabel.training.runs.file import load_submission
    from sparklabel.training.runs.submit import submit as run

    asked = load_submission(file)
    asked |= {key: given for key, given in (("name", name), ("priority", priority)) if given is not None}
    submitted = run(asked.pop("call"), queue=queue, **asked)
    print(submitted)
    print(
        f"{len(submitted)} run{'s' if len(submitted) > 1 else ''} queued. Work at them: sparklabel runs work"
    )


@runs.command("list")
def list_runs(queue: Queue = None) -> None:
    """List all runs."""
    from sparklabel.training.runs.submit import runs as run

    print(run(queue=queue))


@runs.command()
def show(name: Name, queue: Queue = None) -> None:
    """Show a submission's runs, or all that is known of one run."""
    from sparklabel.training.runs.submit import runs as run

    found = run(name, queue=queue)
    print(found[0].details if "/" in name else found)


@runs.command()
def cancel(name: Name, queue: Queue = None) -> None:
    """Cancel a run, or all of a submission. Those under way end within a minute; what they trained is kept."""
    from sparklabel.training.runs.submit import cancel_run

    print(cancel_run(name, queue=queue) or f"nothing of {name} waits or runs")


@runs.command()
def retry(name: Name, queue: Queue = None) -> None:
    """Queue what failed or was canceled once more."""
    from sparklabel.training.runs.submit import retry_run
    from sparklabel.training.runs.submit import runs as listed

    print(
        retry_run(name, queue=queue)
        or f"nothing of {name} has failed or was canceled to its end; it is as follows\n{listed(name, queue=queue)}"
    )


@runs.command()
def report(
    name: Annotated[str, typer.Argument(help="A submission, such as intent-1.")],
    to: Annotated[Path, typer.Option(help="The folder for the files.")] = Path("."),
    queue: Queue = None,
) -> None:
    """Compare a submission's runs, as NAME.html and NAME.png."""
    from sparklabel.training.runs.comparison import compare_runs

    print(compare_runs(name, to, queue=queue))


@runs.command()
def work(
    queue: Queue = None,
    parallel: Annotated[
        int | None, typer.Option(help="At most so many runs at once. By default as many as the cluster has slots for.")
    ] = None,
    keep_waiting: Annotated[
        bool, typer.Option("--keep-waiting", help="Stay until the runs of other workers are at an end, too.")
    ] = False,
    conf: Conf = None,
) -> None:  # fmt: skip
    """Take runs off the queue and work at them, until none waits."""
    from sparklabel.training.runs.records import RunState
    from sparklabel.training.runs.submit import runs as listed
    from sparklabel.training.runs.work import work as run

    worked = run(session(conf), queue=queue, parallel=parallel, keep_waiting=keep_waiting)
    print(worked or "no run waits")
    others = [one for one in listed(queue=queue) if not one.state.is_end]
    if others and not worked:
        print(
            f"{len(others)} with other workers (sparklabel runs list). What a dead one had waits again two minutes "
            "after its last heartbeat; --keep-waiting stays for that."
        )
    if any(one.state == RunState.FAILED for one in worked):
        raise typer.Exit(2)
