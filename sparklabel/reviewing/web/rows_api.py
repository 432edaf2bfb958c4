"""The list of rows, and one answer for all that a filter finds.

In: filters, an answer. Out: a page, JSON. People look at rows; leads answer in bulk, and take it back.
"""

import random
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from sparklabel.errors import SparklabelError
from sparklabel.reviewing.asking.bulk_events import bulk_rows, standing_bulks
from sparklabel.reviewing.asking.row_filters import SUSPICIOUS
from sparklabel.reviewing.asking.row_list import row_page
from sparklabel.reviewing.asking.suspicious_rows import why_none
from sparklabel.reviewing.bulk_answers import BulkAnswers, BulkChanged, BulkOfRows
from sparklabel.reviewing.people import ANNOTATOR, LEAD, Person
from sparklabel.reviewing.requests import BulkUndoIn, RowsIn
from sparklabel.reviewing.review_state import NotReady
from sparklabel.reviewing.web.context import Context, body, not_ready
from sparklabel.reviewing.web.page_templates import render
from sparklabel.reviewing.web.refusals import Refusal
from sparklabel.reviewing.web.views import listed_view

_LOOKED_AT = 10
"""Rows that a lead sees before an answer in bulk."""


def rows_api(context: Context) -> APIRouter:
    """The routes."""
    router, state = APIRouter(), context.state
    bulks = BulkAnswers(state)

    @router.get("/rows/{task}")
    async def page(request: Request, task: str) -> Response:
        person = context.person(request, ANNOTATOR)
        context.check_task(task)
        who = {"reviewer": person.name, "role": person.role, "table": state.call.table}
        return render("rows.html", who | {"task": task, "is_lead": _may_answer(context, person)})

    @router.post("/api/{task}/rows")
    async def rows(request: Request, task: str) -> dict[str, Any]:
        person, session = context.person(request, ANNOTATOR), context.session(task)
        wanted = await body(request, RowsIn)
        found = row_page(session, wanted.filter, wanted.page)
        is_doubting = wanted.filter.status == SUSPICIOUS
        return {
            "rows": [listed_view(session, row, person) for row in found.rows], "count": found.count,
            "page": found.number, "pages": found.pages, "held_out": found.held_out,
            "note": why_none(session.suggestions.learned_from) if is_doubting else None,
        }  # fmt: skip

    @router.post("/api/{task}/bulk/sample")
    async def sample(request: Request, task: str) -> dict[str, Any]:
        person, session = _lead(context, request), context.session(task)
        found = bulk_rows(session, (await body(request, RowsIn)).filter)
        drawn = random.sample(found.rows, min(_LOOKED_AT, len(found.rows)))
        return {
            "rows": [listed_view(session, row, person) for row in drawn], "count": len(found.rows),
            "names": found.names, "held_out": found.held_out, "answered": found.answered,
        }  # fmt: skip

    @router.get("/api/{task}/bulk")
    async def standing(request: Request, task: str) -> dict[str, Any]:
        context.person(request, LEAD)
        found = standing_bulks(context.session(task))
        return {
            "bulks": [
                {"bulk": bulk, "value": events[0].value, "reviewer": events[0].reviewer,
                 "at": events[0].answered_at, "answered": len(events)}
                for bulk, events in found.items()
            ]
        }  # fmt: skip

    @router.post("/api/{task}/bulk")
    async def answer(request: Request, task: str) -> dict[str, Any]:
        person, _ = _lead(context, request), context.session(task)
        given = await body(request, BulkOfRows)
        try:
            return asdict(await bulks.give(task, given, person))
        except BulkChanged as changed:
            is_other = changed.count == given.count
            now = "other rows" if is_other else f"{changed.count:,} rows"
            told = "" if is_other else f", not {given.count:,}"
            raise Refusal(409, f"The filter finds {now} by now{told}.", "Look again.") from None
        except ValueError as error:
            raise Refusal(422, str(error)) from None
        except NotReady as error:
            raise not_ready(error) from None
        except SparklabelError as error:
            raise Refusal(503, error.message, error.hint) from None

    @router.post("/api/{task}/bulk/undo")
    async def undo(request: Request, task: str) -> dict[str, int]:
        person, _ = _lead(context, request), context.session(task)
        given = await body(request, BulkUndoIn)
        try:
            return {"undone": await bulks.undo(task, given.bulk, person)}
        except SparklabelError as error:
            raise Refusal(503, error.message, error.hint) from None

    return router


def _may_answer(context: Context, person: Person) -> bool:
    return person.may(LEAD) and not context.state.call.read_only


def _lead(context: Context, request: Request) -> Person:
    person = context.person(request, LEAD)
    if context.state.call.read_only:
        raise Refusal(403, "This review is read-only: no answers are taken.")
    return person
