"""The page about quality: what people's answers say of the model's labels, with charts and their numbers."""

import asyncio
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from sparklabel.reviewing.insight.charts import CHARTS
from sparklabel.reviewing.insight.quality import Quality, quality
from sparklabel.reviewing.people import READER
from sparklabel.reviewing.web.context import Context
from sparklabel.reviewing.web.page_templates import render
from sparklabel.reviewing.web.refusals import Refusal

_FRESH_SECONDS = 30.0
"""How long figures are shown as they are: they are read from the table, which takes seconds."""


@dataclass(frozen=True, slots=True)
class _Kept:
    found: Quality
    at: float
    charts: dict[str, bytes]


class QualityFigures:
    """The figures of each task, read from the table when somebody looks at them, at most every 30 seconds."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kept: dict[str, _Kept] = {}
        self._reading: dict[str, asyncio.Task[_Kept]] = {}

    async def of(self, task: str) -> _Kept:
        """A task's figures. Raises a refusal, 503, if the table does not answer."""
        kept, now = self._kept.get(task), self._context.state.clock()
        if kept and now - kept.at < _FRESH_SECONDS:
            return kept
        if task not in self._reading:  # several people, and three charts, ask at once
            self._reading[task] = asyncio.create_task(self._read(task))
        try:
            return await self._reading[task]
        except Exception as error:  # noqa: BLE001 the table is away, for whatever reason
            raise Refusal(503, f"The table does not answer: {error}", "Try it again.") from None
        finally:
            self._reading.pop(task, None)

    async def _read(self, task: str) -> _Kept:
        state = self._context.state
        judged, events = await state.judged(task)
        mode = state.tasks[task].answer_mode
        found = await asyncio.to_thread(quality, mode, judged, events)
        charts = await asyncio.to_thread(lambda: {name: draw(found) for name, draw in CHARTS.items()})
        self._kept[task] = _Kept(found, state.clock(), charts)
        return self._kept[task]


def quality_pages(context: Context) -> APIRouter:
    """The routes under /quality/{task}."""
    router, figures = APIRouter(prefix="/quality/{task}"), QualityFigures(context)

    @router.get("")
    async def page(request: Request, task: str) -> Response:
        person = context.person(request, READER)
        context.session(task)
        kept = await figures.of(task)
        session, probe = context.session(task), context.state.probes.get(task)
        content: dict[str, Any] = {
            "task": task, "quality": kept.found, "table": context.state.call.table, "reviewer": person.name,
            "role": person.role, "suggested": session.suggestions.record(),
            "probe": probe.status() if probe else "",
        }  # fmt: skip
        return render("quality.html", content)

    @router.get("/{chart}.svg")
    async def drawn(request: Request, task: str, chart: str) -> Response:
        context.person(request, READER)
        context.session(task)
        if chart not in CHARTS:
            raise Refusal(404, "There is no such chart.")
        return Response((await figures.of(task)).charts[chart], media_type="image/svg+xml")

    return router
