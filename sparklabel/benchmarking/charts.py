"""The charts of a benchmark: quality by set, the gain by answers, learning curves.

In: cells, and figures that others published. Out: PNG and SVG files by name. The door to matplotlib for benchmarks; its
global state is not used.
"""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparklabel.benchmarking.cells import Cell
from sparklabel.benchmarking.suite import Published

_COLORS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700", "#cf222e", "#57606a", "#0550ae")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_ROW, _COLUMNS = 0.55, 4


def draw_charts(cells: Sequence[Cell], published: Mapping[str, Mapping[str, Published]]) -> dict[str, bytes]:
    """The files; a chart that has nothing to show is left out."""
    good = [cell for cell in cells if cell.value is not None]
    files: dict[str, bytes] = {}
    if good:
        files |= _saved("quality", _quality(good, published))
    taught = [cell for cell in good if cell.answers]
    if taught:
        files |= _saved("gain", _gain(good))
    if len({cell.answers for cell in good}) > 1:
        files |= _saved("learning", _learning(good))
    return files


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _saved(name: str, figure: Any) -> dict[str, bytes]:
    files = {}
    for suffix in ("png", "svg"):
        drawn = io.BytesIO()
        # Without a date, equal figures are equal files.
        figure.savefig(drawn, format=suffix, dpi=120, metadata={"Date": None} if suffix == "svg" else None)
        files[f"{name}.{suffix}"] = drawn.getvalue()
    return files


def _sets(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.set_name for cell in cells))


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * value


def _quality(cells: Sequence[Cell], published: Mapping[str, Mapping[str, Published]]) -> Any:
    """Each set is a row; a mark with its 95% interval for each model and number of answers, hollow ones for figures of
    others."""
    names = _sets(cells)
    kinds = list(dict.fromkeys(cell.kind for cell in sorted(cells, key=lambda one: one.wanted)))
    others = list(dict.fromkeys(name for one in names for name in published.get(one, {})))
    figure = _figure(11, 1.8 + max(_ROW * len(names), 0.09 * (len(kinds) + len(others)) * 3))
    plot = figure.subplots()
    step = 0.7 / max(len(kinds), 1)
    for number, kind in enumerate(kinds):
        own = [cell for cell in cells if cell.kind == kind]
        heights = [names.index(cell.set_name) + 0.35 - step * (number + 0.5) for cell in own]
        values = [_percent(cell.value) for cell in own]
        errors = [
            [max(0.0, value - _percent(cell.low)) for cell, value in zip(own, values, strict=True)],
            [max(0.0, _percent(cell.high) - value) for cell, value in zip(own, values, strict=True)],
        ]
        plot.errorbar(
            values, heights, xerr=errors, fmt=_MARKS[number % len(_MARKS)], color=_COLORS[number % len(_COLORS)],
            markersize=5, linewidth=1, label=kind,
        )  # fmt: skip
    metrics = {cell.set_name: cell.metric for cell in cells}
    for number, name in enumerate(others):
        found = [
            (figures[name].value, row)
            for row, one in enumerate(names)
            if name in (figures := published.get(one, {}))
            and (figures[name].metric or metrics[one]) == metrics[one]
        ]
        if found:
            theirs, places = zip(*found, strict=True)
            plot.plot(
                theirs, places, linestyle="none", marker=_MARKS[number % len(_MARKS)], markersize=8,
                markerfacecolor="none", markeredgecolor="#8c959f", label=f"{name} (published)",
            )  # fmt: skip
    plot.set_yticks(range(len(names)), [f"{name}\n{metrics[name].replace('_', ' ')}" for name in names])
    plot.set(
        xlim=(0, 100),
        ylim=(len(names) - 0.5, -0.5),
        xlabel="%, with 95% intervals",
        title="Quality by data set",
    )
    plot.grid(axis="x", color="#eaeef2")
    plot.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    return figure


def _gain(cells: Sequence[Cell]) -> Any:
    """What most answers of a model add to none, in points."""
    names, entries = _sets(cells), list(dict.fromkeys(cell.entry for cell in cells if cell.answers))
    figure = _figure(9, 1.5 + _ROW * len(names))
    plot = figure.subplots()
    step = 0.8 / len(entries)
    for number, entry in enumerate(entries):
        for row, name in enumerate(names):
            own = sorted(
                (c for c in cells if (c.set_name, c.entry) == (name, entry)), key=lambda one: one.answers
            )
            if len(own) < 2 or own[0].answers:
                continue
            plot.barh(
                row - 0.4 + step * (number + 0.5), _percent(own[-1].value) - _percent(own[0].value), height=step * 0.9,
                color=_COLORS[number % len(_COLORS)], label=entry,
            )  # fmt: skip
    handles, labels = plot.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    plot.set_yticks(range(len(names)), names)
    plot.set(
        ylim=(len(names) - 0.5, -0.5),
        xlabel="points gained by all answers over none",
        title="What answers add",
    )
    plot.axvline(0, color="#57606a", linewidth=0.8)
    plot.grid(axis="x", color="#eaeef2")
    if unique:
        plot.legend(unique.values(), unique.keys(), frameon=False, fontsize=8)
    return figure


def _learning(cells: Sequence[Cell]) -> Any:
    """A small plot a set: the metric by the number of answers, on a scale on which ten times as many are one step."""
    names, entries = _sets(cells), list(dict.fromkeys(cell.entry for cell in cells))
    columns = min(_COLUMNS, len(names))
    lines = math.ceil(len(names) / columns)
    figure = _figure(3.4 * columns, 2.9 * lines)
    plots = figure.subplots(lines, columns, squeeze=False).flatten()
    for plot, name in zip(plots, names, strict=False):
        for number, entry in enumerate(entries):
            own = sorted(
                (c for c in cells if (c.set_name, c.entry) == (name, entry)), key=lambda one: one.answers
            )
            if not own:
                continue
            counts, color = [cell.answers for cell in own], _COLORS[number % len(_COLORS)]
            plot.plot(
                counts,
                [_percent(cell.value) for cell in own],
                marker="o",
                markersize=3,
                color=color,
                label=entry,
            )
            plot.fill_between(
                counts, [_percent(cell.low) for cell in own], [_percent(cell.high) for cell in own], color=color,
                alpha=0.15, linewidth=0,
            )  # fmt: skip
        metric = next(cell.metric for cell in cells if cell.set_name == name)
        plot.set_xscale("symlog", linthresh=100)
        plot.set_xticks(sorted({cell.answers for cell in cells}))
        plot.get_xaxis().set_major_formatter(lambda value, _: f"{value:,.0f}")
        plot.tick_params(labelsize=7)
        plot.set_title(f"{name}, {metric.replace('_', ' ')}", fontsize=9)
        plot.grid(color="#eaeef2")
    for plot in plots[len(names) :]:
        plot.set_axis_off()
    plots[0].legend(frameon=False, fontsize=7)
    figure.supxlabel("answers", fontsize=9)
    return figure
