"""The charts of the page about quality, as SVG.

In: figures. Out: SVG files that need no script and are drawn on nothing, so that they show on light and dark pages.
The page has the same numbers as tables. The door to matplotlib for the review app; its global state is not used.
"""

import io
from typing import Any

from sparklabel.reviewing.insight.quality import Quality

_BLUE, _GRAY = "#4c8dd6", "#8b949e"
_SIZE = (5.0, 3.4)


def reliability_chart(found: Quality) -> bytes:
    """Accuracy by confidence; on the diagonal confidence says how right a label is. Dots are larger for more rows."""
    figure, plot = _plot("confidence", "accuracy")
    plot.plot((0, 1), (0, 1), color=_GRAY, linewidth=1, linestyle="--")
    most = max((one.n for one in found.reliability), default=1)
    plot.plot(*_points(found.reliability, "confidence", "accuracy"), color=_BLUE, linewidth=1)
    plot.scatter(
        *_points(found.reliability, "confidence", "accuracy"), color=_BLUE, zorder=2,
        s=[20 + 120 * one.n / most for one in found.reliability],
    )  # fmt: skip
    plot.set(xlim=(0, 1), ylim=(0, 1.02))
    return _svg(figure)


def accuracy_chart(found: Quality) -> bytes:
    """Accuracy on audited rows by model version, with 95% intervals, in the order in which versions labeled."""
    figure, plot = _plot("model version", "accuracy")
    places = range(1, len(found.versions) + 1)
    accuracy = [one.accuracy for one in found.versions]
    below = [one.accuracy - one.interval[0] for one in found.versions]
    above = [one.interval[1] - one.accuracy for one in found.versions]
    plot.errorbar(places, accuracy, yerr=(below, above), fmt="o", color=_BLUE, capsize=4)
    plot.set(xlim=(0.5, max(1, len(found.versions)) + 0.5), ylim=(0, 1.02))
    plot.set_xticks(places)
    return _svg(figure)


def coverage_chart(found: Quality) -> bytes:
    """How right labels are if only the surer ones stand, by the share of rows that is left."""
    figure, plot = _plot("share of rows that keep their label", "accuracy")
    known = [one for one in found.coverage if one.accuracy is not None]
    plot.plot(*_points(known, "share", "accuracy"), color=_BLUE, marker="o", linewidth=1)
    plot.set(xlim=(0, 1.02), ylim=(0, 1.02))
    return _svg(figure)


CHARTS = {"accuracy": accuracy_chart, "reliability": reliability_chart, "coverage": coverage_chart}


def _points(found: Any, across: str, up: str) -> tuple[list[float], list[float]]:
    return [getattr(one, across) for one in found], [getattr(one, up) for one in found]


def _plot(across: str, up: str) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    plot = figure.subplots()
    plot.patch.set_alpha(0)
    plot.grid(color=_GRAY, alpha=0.25)
    plot.set_xlabel(across, color=_GRAY)
    plot.set_ylabel(up, color=_GRAY)
    plot.tick_params(colors=_GRAY)
    for side in plot.spines.values():
        side.set_color(_GRAY)
    return figure, plot


def _svg(figure: Any) -> bytes:
    drawn = io.BytesIO()
    # Without a date, equal figures are equal files.
    figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return drawn.getvalue()
