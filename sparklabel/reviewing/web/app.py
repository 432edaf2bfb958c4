"""The app: pages and API behind the guard, for a server or a test client.

In: the state, the secret of its link, people. Out: an ASGI app. It starts nothing: the state's own work is started by
who runs the app.
"""

from collections.abc import Mapping

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from sparklabel.reviewing.people import Account
from sparklabel.reviewing.review_secret import ReviewSecret
from sparklabel.reviewing.review_state import ReviewState
from sparklabel.reviewing.web.api import api
from sparklabel.reviewing.web.context import Context
from sparklabel.reviewing.web.late_pages import LatePages
from sparklabel.reviewing.web.lead_api import lead_api
from sparklabel.reviewing.web.page_templates import STATIC
from sparklabel.reviewing.web.pages import pages
from sparklabel.reviewing.web.refusals import Refusal, refused
from sparklabel.reviewing.web.rows_api import rows_api
from sparklabel.reviewing.web.security import Attempts, Guard, own_hosts
from sparklabel.reviewing.web.sign_in import SignIn

_MESSAGES = {404: "There is no such page.", 405: "This cannot be done here."}


def make_app(
    state: ReviewState, secret: ReviewSecret, accounts: Mapping[str, Account] | None = None
) -> ASGIApp:
    """The app of a review.

    Args:
        state: What is reviewed.
        secret: The token of the link, and the key of cookies.
        accounts: The people of the users file; None: whoever has the link.
    """
    call = state.call
    context = Context(state, SignIn(call, secret, accounts, Attempts(state.clock)))
    app = _app(pages(context), api(context), lead_api(context), rows_api(context))
    app.mount("/static", StaticFiles(directory=STATIC))
    both = LatePages(app, lambda: _late_app(context))
    return Guard(both, own_hosts(call.host), not call.is_local, call.trust)


def _late_app(context: Context) -> ASGIApp:
    from sparklabel.reviewing.insight.playground_process import PlaygroundProcess
    from sparklabel.reviewing.web.playground_pages import playground_pages
    from sparklabel.reviewing.web.quality_pages import quality_pages

    playground = PlaygroundProcess()
    context.state.closers.append(playground.close)
    return _app(quality_pages(context), playground_pages(context, playground))


def _app(*routers: APIRouter) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for router in routers:
        app.include_router(router)
    _add_refusals(app)
    return app


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def ours(request: Request, refusal: Refusal) -> Response:
        return refused(request, refusal)

    @app.exception_handler(HTTPException)
    async def others(request: Request, error: HTTPException) -> Response:
        message = _MESSAGES.get(error.status_code, "The request was refused.")
        return refused(request, Refusal(error.status_code, message, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> Response:
        return refused(request, Refusal(422, "The request cannot be read."))
