"""`compare_runs`: a submission's runs side by side, as a page and as a picture.

In: the queue's runs, their losses in MLflow. Out: a page that needs no other file, and a PNG, in a folder and with the
submission's MLflow run.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparklabel import registry
from sparklabel.errors import SetupError
from sparklabel.redaction import printable
from sparklabel.training.runs.figures import Curve, comparison_figure
from sparklabel.training.runs.records import QueuedRun, QueuedRuns, RunKind, RunState, best_of
from sparklabel.training.runs.submit import open_queue

_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.3rem .8rem;border-bottom:1px solid #d0d7de}"
    "td.number{text-align:right;font-variant-numeric:tabular-nums}tr.best{background:#e6f4ea}img{max-width:100%}"
)


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Where a comparison was written; `str()` of it says so.

    Attributes:
        page: The HTML file.
        picture: The PNG file.
        runs: What was compared.
        best: The candidate that was, or will be, chosen; None without a complete one.
    """

    page: Path
    picture: Path
    runs: QueuedRuns
    best: QueuedRun | None

    def __str__(self) -> str:
        if self.best:
            first = f"best: {self.best}"
        elif any(run.kind == RunKind.CANDIDATE for run in self.runs):
            first = "no candidate is complete yet"
        else:
            first = "\n".join(map(str, self.runs))
        return f"{first}\n{self.page}\n{self.picture}"


def compare_runs(name: str, folder: str | Path = ".", *, queue: str | None = None) -> RunComparison:
    """Compares a submission's runs: a table of parameters and accuracies, learning curves, parallel coordinates.

    Args:
        name: The submission.
        folder: Where the files are written: `NAME.html` and `NAME.png`. They are logged to the submission's MLflow run,
            too.
        queue: As in `submit`.

    Returns:
        Where they are, and the best candidate.

    Raises:
        SetupError: There is no such submission, the folder cannot be written, or the queue or MLflow does not answer.
    """
    if "/" in name:
        raise SetupError(
            f"{name!r} is one run, and a comparison is of a submission.",
            hint=f"Give {name.partition('/')[0]!r}.",
        )
    with open_queue(queue) as opened:
        runs, submission = opened.runs(name), opened.submission(name)
    candidates = [run for run in runs if run.kind == RunKind.CANDIDATE]
    chosen = next((run.chosen for run in runs if run.chosen), "")
    best = next((run for run in candidates if run.name == chosen), None)
    if best is None and any(run.state == RunState.COMPLETE for run in candidates):
        best = best_of(runs)
    curves = [Curve(run.name, registry.metric_history(run.mlflow_run, "loss"), run == best) for run in runs]
    picture = comparison_figure(curves, [run for run in candidates if run.accuracy is not None], best)
    page = _page(name, submission.submitted_at, runs, best, picture)
    to = Path(folder)
    html_file, png_file = to / f"{name}.html", to / f"{name}.png"
    try:
        html_file.write_text(page, "utf-8")
        png_file.write_bytes(picture)
    except OSError as error:
        raise SetupError(
            f"The comparison cannot be written to {to}: {error.strerror}.",
            hint="Name a folder that is there.",
        ) from None
    registry.log_files(submission.mlflow_run, {"comparison.html": page.encode(), "comparison.png": picture})
    return RunComparison(html_file, png_file, runs, best)


def _page(name: str, at: str, runs: Sequence[QueuedRun], best: QueuedRun | None, picture: bytes) -> str:
    parameters = list(dict.fromkeys(parameter for run in runs for parameter in run.params))
    rows = "".join(_row(run, parameters, run == best) for run in runs)
    heads = "".join(
        f"<th>{html.escape(head)}</th>"
        for head in ("run", "kind", "state", *parameters, "accuracy", "attempts", "reason", "MLflow run")
    )
    image = base64.b64encode(picture).decode()
    title = html.escape(printable(name))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{len(runs)} runs, submitted {html.escape(at)}. Candidates are judged on a fifth of the "
        "training answers, the final run on the held-out answers.</p>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        f'<img alt="Learning curves, and the parameters of each candidate with its accuracy" '
        f'src="data:image/png;base64,{image}"></html>\n'
    )


def _row(run: QueuedRun, parameters: Sequence[str], is_best: bool) -> str:
    accuracy = "" if run.accuracy is None else f"{run.accuracy:.3f}"
    cells = (
        run.name, run.kind, run.state, *(str(run.params.get(one, "")) for one in parameters), accuracy,
        str(run.attempts), run.reason, run.mlflow_run,
    )  # fmt: skip
    shown = "".join(
        f"<td{' class=number' if cell and cell == accuracy else ''}>{html.escape(printable(cell))}</td>"
        for cell in cells
    )
    return f"<tr{' class=best' if is_best else ''}>{shown}</tr>"
