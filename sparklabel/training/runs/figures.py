"""The picture of a comparison: learning curves, and each candidate's parameters with its accuracy as one line.

In: losses by step, candidates. Out: a PNG. The door to matplotlib, which is used without its global state.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparklabel.training.runs.records import QueuedRun

_BEST, _OTHER = "#1a7f37", "#8c959f"
_ACCURACY = "accuracy"


@dataclass(frozen=True, slots=True)
class Curve:
    """A run's losses: (step, loss) pairs."""

    name: str
    losses: Sequence[tuple[int, float]]
    is_best: bool


def comparison_figure(
    curves: Sequence[Curve], candidates: Sequence[QueuedRun], best: QueuedRun | None
) -> bytes:
    """Two plots side by side, as a PNG. Parallel coordinates need two candidates to compare."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_curves(left, curves)
    _draw_coordinates(right, candidates, best)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    return drawn.getvalue()


def _draw_curves(plot: Any, curves: Sequence[Curve]) -> None:
    for curve in sorted(curves, key=lambda one: one.is_best):
        if curve.losses:
            steps, losses = zip(*curve.losses, strict=True)
            color, width = (_BEST, 2.2) if curve.is_best else (_OTHER, 1.0)
            plot.plot(
                steps, losses, color=color, linewidth=width, label=curve.name if curve.is_best else None
            )
    plot.set(title="Learning curves", xlabel="step", ylabel="loss (nats an answer)")
    if any(curve.is_best and curve.losses for curve in curves):
        plot.legend(frameon=False)
    if not any(curve.losses for curve in curves):
        plot.text(0.5, 0.5, "no run has logged a step yet", ha="center", transform=plot.transAxes)


def _draw_coordinates(plot: Any, candidates: Sequence[QueuedRun], best: QueuedRun | None) -> None:
    plot.set(title="Candidates")
    names = list(dict.fromkeys(name for run in candidates for name in run.params))
    if len(candidates) < 2 or not names:
        plot.set_axis_off()
        plot.text(0.5, 0.5, "fewer than two candidates are complete", ha="center", transform=plot.transAxes)
        return
    axes = [*names, _ACCURACY]
    places = {axis: _places(axis, candidates) for axis in axes}
    for run in sorted(candidates, key=lambda one: one == best):
        color, width = (_BEST, 2.4) if run == best else (_OTHER, 1.0)
        heights = [places[axis][0][_value(axis, run)] for axis in axes]
        plot.plot(range(len(axes)), heights, color=color, linewidth=width, marker="o", markersize=3)
    for number, axis in enumerate(axes):
        plot.axvline(number, color="#d0d7de", zorder=0)
        for text, height in places[axis][1]:
            plot.annotate(
                text, (number, height), xytext=(5, 0), textcoords="offset points", fontsize=8, va="center"
            )
    plot.set_xticks(range(len(axes)), axes)
    plot.set_yticks([])
    plot.set_xlim(-0.2, len(axes) - 0.4)


def _value(axis: str, run: QueuedRun) -> Any:
    return run.accuracy if axis == _ACCURACY else run.params.get(axis)


def _places(axis: str, runs: Sequence[QueuedRun]) -> tuple[dict[Any, float], list[tuple[str, float]]]:
    """Where an axis has each value, from 0 to 1; and which ones it names. Numbers that span more than a factor of 20
    are on a logarithmic scale; texts, and what mixes them, are in order."""
    values = list(dict.fromkeys(_value(axis, run) for run in runs))
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values) or len(values) == 1:
        spread = max(len(values) - 1, 1)
        found = {value: number / spread for number, value in enumerate(values)}
        return found, [(_shown(value), height) for value, height in found.items()]
    low, high = min(numbers), max(numbers)
    scale = math.log if low > 0 and high / low > 20 else float
    bottom, height = scale(low), scale(high) - scale(low)
    found = {value: (scale(value) - bottom) / height for value in numbers}
    named = numbers if len(numbers) <= 6 else [low, high]
    return found, [(_shown(value), found[value]) for value in named]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
