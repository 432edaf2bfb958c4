"""What a benchmark found: all cells, as a table to print and as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparklabel.benchmarking.cells import Cell
from sparklabel.redaction import printable

_COLUMNS = (
    "set", "model", "answers", "metric", "%", "95%", "completed", "AUROC", "ECE", "prompt tokens", "rows/s",
    "per 1,000 rows", "teaching",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkReport:
    """The outcome of `benchmark`; `str()` of it is the table.

    Attributes:
        cells: One a set, model and number of answers.
        folder: Where the files are: `table.csv`, `page.html`, the charts, and the cells.
        run_id: The MLflow run that has the same files; each cell has a run below it.
    """

    cells: Sequence[Cell]
    folder: Path
    run_id: str

    @property
    def failed(self) -> list[Cell]:
        """The cells without figures."""
        return [cell for cell in self.cells if cell.value is None]

    def csv(self) -> str:
        """The table; cells that failed have the reason in their last column."""
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow([*_COLUMNS, "error"])
        for cell in self.cells:
            writer.writerow([*_texts(cell), cell.error])
        return written.getvalue()

    def __str__(self) -> str:
        good = [[printable(text) for text in _texts(cell)] for cell in self.cells if cell.value is not None]
        used = [n for n in range(len(_COLUMNS)) if any(row[n] for row in good)]
        table = [[row[n] for n in used] for row in [list(_COLUMNS), *good]]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                text.ljust(width) if used[n] in (0, 1, 3) else text.rjust(width)
                for n, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        lines += [printable(f"failed: {cell}") for cell in self.failed]
        return "\n".join([*lines, printable(f"{self.folder / 'page.html'}; MLflow run {self.run_id}")])


def table_rows(cells: Sequence[Cell]) -> tuple[Sequence[str], list[list[str]]]:
    """The table's headings, and each cell's texts; of one that failed, the reason stands for its figures."""
    return _COLUMNS, [_texts(cell) for cell in cells]


def _texts(cell: Cell) -> list[str]:
    head = [cell.set_name, cell.entry, f"{cell.answers}", cell.metric]
    if cell.value is None or cell.low is None or cell.high is None:
        return [*head, *[""] * (len(_COLUMNS) - len(head))]
    figures = cell.figures
    return [
        *head, f"{100 * cell.value:.1f}", f"{100 * cell.low:.1f} to {100 * cell.high:.1f}",
        f"{figures.get('completion_rate', 0):.0%}", _number(figures.get("confidence_auroc")),
        _number(figures.get("ece")), f"{cell.prompt_tokens:.0f}", f"{cell.rows_per_second:.1f}",
        "" if cell.cost_per_1000_rows is None else f"{cell.cost_per_1000_rows:.3f}",
        f"{cell.train_seconds:.0f} s" if cell.answers else "",
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
