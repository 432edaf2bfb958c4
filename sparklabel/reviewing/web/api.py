"""The API of the review screen: rows out, events in. Its JSON is made in `views`."""

from typing import Any

from fastapi import APIRouter, Request

from sparklabel.errors import SparklabelError
from sparklabel.reviewing.people import ANNOTATOR, READER, Person
from sparklabel.reviewing.requests import MAX_EVENTS, EventsIn, NextIn
from sparklabel.reviewing.review_state import NotReady
from sparklabel.reviewing.web.context import Context, body, not_ready
from sparklabel.reviewing.web.refusals import Refusal
from sparklabel.reviewing.web.views import answer_view, outcome_view, row_view, suggestion_view, task_view

_MINE = 50


def api(context: Context) -> APIRouter:
    """The routes under /api/{task}."""
    router, state = APIRouter(prefix="/api/{task}"), context.state

    @router.get("/about")
    async def about(request: Request, task: str) -> dict[str, Any]:
        person = context.person(request, ANNOTATOR)
        context.check_task(task)
        return {
            "task": task_view(state.tasks[task]), "reviewer": person.name, "role": person.role,
            "goal": state.call.goal, "read_only": state.call.read_only, "keys": {},
        }  # fmt: skip

    @router.post("/next")
    async def next_rows(request: Request, task: str) -> dict[str, Any]:
        person = context.person(request, ANNOTATOR)
        session, wanted = context.session(task), await body(request, NextIn)
        _check_page(wanted.reviewer, person)
        rows, note = state.next(task, person, wanted)
        found: dict[str, Any] = {
            "rows": [row_view(session, row, person) for row in rows], "waiting": session.queue.waiting(person.name),
        }  # fmt: skip
        return found | ({"note": note} if note else {})

    @router.post("/events")
    async def events(request: Request, task: str) -> dict[str, Any]:
        person = context.person(request, ANNOTATOR)
        if state.call.read_only:
            raise Refusal(403, "This review is read-only: no answers are taken.")
        session, given = context.session(task), await body(request, EventsIn)
        _check_page(given.reviewer, person)
        if len(given.events) > MAX_EVENTS:
            raise Refusal(413, f"A request has at most {MAX_EVENTS:,} events.", "Send fewer at once.")
        try:
            outcomes = await state.accept(task, given, person)
        except NotReady as error:
            raise not_ready(error) from None
        except SparklabelError as error:
            raise Refusal(503, error.message, error.hint) from None
        return {
            "outcomes": [outcome_view(session, outcome, person) for outcome in outcomes],
            "progress": state.progress(task, person), "suggestions": _fresh(context, task, given.have),
        }  # fmt: skip

    @router.get("/progress")
    async def progress(request: Request, task: str) -> dict[str, Any]:
        person = context.person(request, READER)
        context.session(task)
        return state.progress(task, person)

    @router.get("/mine")
    async def mine(request: Request, task: str, before: int | None = None) -> list[dict[str, Any]]:
        person, session = context.person(request, ANNOTATOR), context.session(task)
        found = await state.mine(task, person, before, _MINE)
        return [answer_view(session, event, person) for event in found]

    return router


def _check_page(reviewer: str | None, person: Person) -> None:
    """Raises a refusal, 401, for a page of another person than the browser is signed in as by now: its answers are that
    person's, and wait until they are back."""
    if reviewer not in (None, person.name):
        raise Refusal(401, f"You are signed in as {person.name} now, and this page is another person's.")


def _fresh(context: Context, task: str, have: tuple[str, ...]) -> dict[str, Any]:
    """Suggestions, as they are by now, for the rows that wait in the browser."""
    session = context.session(task)
    rows = filter(None, map(session.row, have))
    found = {row.input_hash: session.suggestion(row) for row in rows}
    return {name: suggestion_view(suggestion) for name, suggestion in found.items() if suggestion}
