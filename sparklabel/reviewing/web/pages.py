"""The pages: tasks, the review screen, the name. What moves on them is done by the scripts in `static`."""

import os
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from sparklabel.reviewing.people import ANNOTATOR, READER, Person
from sparklabel.reviewing.web.context import Context, body
from sparklabel.reviewing.web.page_templates import render
from sparklabel.reviewing.web.refusals import Refusal
from sparklabel.reviewing.web.security import address_of

APP = "sparklabel review"
_ANEW = (
    '<!doctype html><html lang="en"><title>sparklabel</title><meta http-equiv="refresh" content="0"></html>'
)


class NameIn(BaseModel):
    """Who somebody is: a name, a password where there is one, and whether it is the person who was here already."""

    name: Any = None
    password: Any = None
    same: Any = None


def pages(context: Context) -> APIRouter:
    """The routes of pages."""
    router, state, sign_in = APIRouter(), context.state, context.sign_in

    @router.get("/")
    async def tasks(request: Request, token: str | None = None) -> Response:
        if token is not None:
            return sign_in.by_token(request, token)
        try:
            person = context.person(request, READER)
        except Refusal as refusal:
            return _entrance(context, request, refusal)
        shown = [_task_card(context, task, person) for task in state.tasks]
        return _page(
            context, "tasks.html", person, tasks=shown, loading=state.loading, read_only=state.call.read_only
        )

    @router.get("/name")
    async def name(request: Request) -> Response:
        if not sign_in.needs_name(request):
            sign_in.person(request)
        people = [] if sign_in.has_passwords else state.known_people()
        content = {"people": people, "table": state.call.table, "needs_password": sign_in.has_passwords}
        return render("name.html", content)

    @router.post("/name")
    async def give_name(request: Request) -> Response:
        given = await body(request, NameIn)
        person = await sign_in.by_name(request, given.model_dump(), state.known_people())
        response = JSONResponse({"next": "/", "name": person.name})
        sign_in.remember(response, person, request)
        return response

    @router.get("/review/{task}")
    async def review(request: Request, task: str) -> Response:
        try:
            person = context.person(request, ANNOTATOR)
        except Refusal as refusal:
            return _entrance(context, request, refusal)
        context.check_task(task)
        return _page(context, "review.html", person, task=task, journal=state.journal.id)

    @router.get("/healthz")
    async def health(request: Request) -> dict[str, Any]:
        found = {"app": APP, "ready": state.loading is None}
        is_near = address_of(request) in ("127.0.0.1", "::1")
        return found | ({"pid": os.getpid(), "table": state.call.table} if is_near else {})

    return router


def _entrance(context: Context, request: Request, refusal: Refusal) -> Response:
    """For who is not known yet: the way to the name, if one can be given."""
    if refusal.status == 401 and context.sign_in.needs_name(request):
        return RedirectResponse("/name", 303)
    if refusal.status == 401 and request.headers.get("sec-fetch-site") == "cross-site":
        # A link in a chat: browsers hold back a strict cookie on the way from there, and send it with a page's own.
        return HTMLResponse(_ANEW)
    raise refusal


def _page(context: Context, name: str, person: Person, **content: Any) -> Response:
    who = {"reviewer": person.name, "role": person.role, "table": context.state.call.table}
    return render(name, who | content)


def _task_card(context: Context, task: str, person: Person) -> dict[str, Any]:
    state = context.state
    definition, session = state.tasks[task], state.sessions.get(task)
    nothing = {
        "mine": 0,
        "all": 0,
        "goal": state.call.goal,
        "audited": 0,
        "accuracy": None,
        "table_error": None,
    }
    return {
        "name": task, "kind": definition.kind, "instructions": definition.instructions,
        "waiting": session.queue.waiting(person.name) if session else 0,
        "progress": state.progress(task, person) if session else nothing,
    }  # fmt: skip
