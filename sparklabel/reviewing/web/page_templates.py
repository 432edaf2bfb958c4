"""Pages from templates. Every text in them is escaped: texts of rows, names and labels are never HTML."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from starlette.responses import HTMLResponse

_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"


def render(
    name: str, content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """A page. `content` are the variables of its template."""
    return HTMLResponse(_environment().get_template(name).render(content), status, headers)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
