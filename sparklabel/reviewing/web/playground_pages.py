"""The playground: a definition of a task tried on rows, without saving anything.

In: YAML, a model's reference, rows. Out: what `playground.try_task` finds, as JSON. The model runs in a process of its
own; no Spark is needed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from sparklabel.errors import SparklabelError
from sparklabel.models.references import DEFAULT
from sparklabel.reviewing.asking.session import TaskSession
from sparklabel.reviewing.insight.playground import MAX_ROWS
from sparklabel.reviewing.insight.playground_process import PlaygroundProcess, TrialRequest, trial_error
from sparklabel.reviewing.people import ANNOTATOR
from sparklabel.reviewing.web.context import Context, body
from sparklabel.reviewing.web.page_templates import render
from sparklabel.reviewing.web.refusals import Refusal
from sparklabel.tasks.yaml_files import parse_yaml

_LONGEST = 200_000
_SAMPLE, _JUDGES = 5, 100
"""Rows of the table that a new page has; and held-out answers that agreement is counted on."""


class TrialIn(BaseModel):
    """What is to be tried. `judge`: also count how many of people's held-out answers it agrees with."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    definition: Annotated[str, Field(max_length=_LONGEST)]
    model: Annotated[str, Field(min_length=1, max_length=1000)]
    rows: Annotated[
        tuple[tuple[Annotated[str, Field(max_length=_LONGEST)], ...], ...], Field(max_length=MAX_ROWS)
    ]
    judge: bool = False


def playground_pages(context: Context, process: PlaygroundProcess) -> APIRouter:
    """The routes under /playground/{task}."""
    router, state = APIRouter(prefix="/playground/{task}"), context.state

    @router.get("")
    async def page(request: Request, task: str) -> Response:
        person = context.person(request, ANNOTATOR)
        context.check_task(task)
        definition, session = state.tasks[task], state.sessions.get(task)
        content: dict[str, Any] = {
            "task": task, "definition": definition.to_yaml(), "model": state.call.model or DEFAULT,
            "inputs": list(definition.inputs), "sample": session.sample(_SAMPLE) if session else [],
            "most": MAX_ROWS, "table": state.call.table, "reviewer": person.name, "role": person.role,
        }  # fmt: skip
        return render("playground.html", content)

    @router.post("/run")
    async def run(request: Request, task: str) -> dict[str, Any]:
        context.person(request, ANNOTATOR)
        context.check_task(task)
        given = await body(request, TrialIn)
        try:
            found = await asyncio.wrap_future(process.submit(_request(given, state.sessions.get(task))))
        except Exception as error:  # noqa: BLE001 whatever a model raises is for who tried it
            told = trial_error(error)
            if isinstance(told, SparklabelError):
                raise Refusal(422, told.message, told.hint) from None
            raise Refusal(422, f"It failed: {type(told).__name__}: {told}") from None
        return asdict(found)

    return router


def _request(given: TrialIn, session: TaskSession | None) -> TrialRequest:
    """The request to the process. Raises a refusal for what is not YAML of a task."""
    try:
        fields = parse_yaml(given.definition)
    except (ValueError, yaml.YAMLError) as error:
        text = str(error).replace('"<unicode string>"', "the definition")
        raise Refusal(422, f"The definition cannot be read: {text}") from None
    if not isinstance(fields, dict):
        raise Refusal(422, "The definition is not a task.", "Start it with `kind: NAME`.")
    judged: Sequence[Any] = session.held_out_answers(_JUDGES) if given.judge and session else ()
    return TrialRequest(task=fields, model=given.model, rows=given.rows, judged=tuple(judged))
