"""How the app refuses: as JSON to scripts, as a page to people.

In: a status, a sentence, a hint. Out: a response. No refusal quotes what it was sent.
"""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sparklabel.reviewing.web.page_templates import render


class Refusal(Exception):
    """A request that is not served: status, a sentence, what to do."""

    def __init__(
        self, status: int, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.headers = status, message, hint, dict(headers or {})


def refused(request: Request, refusal: Refusal) -> Response:
    """The response: a page for a page, JSON for the rest."""
    content = {"message": refusal.message, "hint": refusal.hint}
    if is_page(request):
        return render("refused.html", content | {"status": refusal.status}, refusal.status, refusal.headers)
    return JSONResponse(content, refusal.status, refusal.headers)


def is_page(request: Request) -> bool:
    """Whether a person looks at what the request asks for."""
    return request.method in ("GET", "HEAD") and not request.url.path.startswith(
        ("/api/", "/export/", "/static/")
    )
