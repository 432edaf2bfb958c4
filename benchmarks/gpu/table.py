"""What was measured: one line a case, as a table for people and as records for JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

OK, FAILED, CUT, SKIPPED = "ok", "FAILED", "cut short", "skipped"
Value = float | int | str


@dataclass(frozen=True, slots=True)
class Line:
    """One case of one part. `figures` by name, the unit in the name; `status` is one of the four above; `note` says in
    a sentence why it is not OK, or what to know."""

    part: str
    model: str
    case: str
    figures: dict[str, Value] = field(default_factory=dict)
    status: str = OK
    note: str = ""

    def __str__(self) -> str:
        told = ", ".join(f"{name} {_shown(value)}" for name, value in self.figures.items())
        words = [self.part, self.model, self.case, *([self.status] if self.status != OK else [])]
        return ": ".join(filter(None, [" ".join(filter(None, words)), told, self.note]))


def table(lines: Sequence[Line]) -> str:
    """Plain text: for each part a head with the names of its figures, and its lines in aligned columns."""
    ordered = groupby(sorted(lines, key=_order(lines)), key=lambda line: line.part)
    return "\n\n".join(_block(part, list(found)) for part, found in ordered)


def records(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """For JSON, figures as they were measured."""
    return [asdict(line) for line in lines]


def _order(lines: Sequence[Line]) -> Any:
    parts = list(dict.fromkeys(line.part for line in lines))
    return lambda line: parts.index(line.part)


def _block(part: str, lines: list[Line]) -> str:
    names = list(dict.fromkeys(name for line in lines for name in line.figures))
    head = [part, "case", *names, "status"]
    rows = [
        [line.model, line.case, *(_shown(line.figures.get(name, "")) for name in names), line.status]
        for line in lines
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    text = [_aligned(head, widths)]
    for line, row in zip(lines, rows, strict=True):
        text.append(_aligned(row, widths))
        if line.note:
            text.append(f"  ({line.note})")
    return "\n".join(text)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, figures to the right."""
    last = len(cells) - 1
    placed = [
        cell.ljust(width) if number in (0, 1, last) else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(placed).rstrip()


def _shown(value: Value) -> str:
    """Three or four digits that count; JSON has them all."""
    if isinstance(value, str | int):
        return f"{value:,}" if isinstance(value, int) else value
    if value and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
