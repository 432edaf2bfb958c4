"""What is for leads: disputes, people, taking a person's answers back, everything as JSON lines."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from sparklabel.errors import SparklabelError
from sparklabel.reviewing.asking.oversight import disputes, exported, people_figures
from sparklabel.reviewing.people import LEAD
from sparklabel.reviewing.web.context import Context, body
from sparklabel.reviewing.web.page_templates import render
from sparklabel.reviewing.web.refusals import Refusal
from sparklabel.reviewing.web.views import row_view


class ReviewerIn(BaseModel):
    """A person, by name."""

    reviewer: str


def lead_api(context: Context) -> APIRouter:
    """The routes, each for leads alone."""
    router, state = APIRouter(), context.state

    @router.get("/disputes/{task}")
    async def disputes_page(request: Request, task: str) -> Response:
        context.check_task(task)
        return _page(context, request, "disputes.html", task=task)

    @router.get("/people")
    async def people_page(request: Request) -> Response:
        return _page(context, request, "people.html", tasks=list(state.tasks))

    @router.get("/api/{task}/disputes")
    async def disputed(request: Request, task: str) -> dict[str, Any]:
        person, session = context.person(request, LEAD), context.session(task)
        rows = [
            {
                "row": row_view(session, found.row, person) | {"suggestion": None},
                "votes": [{"value": value, "people": count} for value, count in found.votes],
                "notes": list(found.notes),
            }
            for found in disputes(session)
        ]  # fmt: skip
        return {"rows": rows}

    @router.get("/api/{task}/people")
    async def people(request: Request, task: str) -> dict[str, Any]:
        context.person(request, LEAD)
        session = context.session(task)
        here = state.people_here()
        found = people_figures(session, sorted({*session.history.people, *here}))
        return {"people": [asdict(one) | {"is_here": one.name in here} for one in found]}

    @router.post("/api/{task}/people/undo")
    async def undo(request: Request, task: str) -> dict[str, int]:
        person = context.person(request, LEAD)
        if state.call.read_only:
            raise Refusal(403, "This review is read-only: no answers are taken back.")
        context.session(task)
        given = await body(request, ReviewerIn)
        try:
            return {"undone": await state.undo_person(task, given.reviewer, person)}
        except SparklabelError as error:
            raise Refusal(503, error.message, error.hint) from None

    @router.get("/export/{task}.jsonl")
    async def export(request: Request, task: str) -> Response:
        context.person(request, LEAD)
        lines = _lines(exported(context.session(task)))
        name = f'attachment; filename="{task}.jsonl"'
        return StreamingResponse(lines, media_type="application/jsonl", headers={"Content-Disposition": name})

    return router


def _lines(found: Iterator[dict[str, Any]]) -> Iterator[str]:
    for line in found:
        yield json.dumps(line, ensure_ascii=False) + "\n"


def _page(context: Context, request: Request, name: str, **content: Any) -> Response:
    person = context.person(request, LEAD)
    who = {"reviewer": person.name, "role": person.role, "table": context.state.call.table}
    return render(name, who | content)
