"""What every handler needs: the state, and who asks."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from sparklabel.reviewing.asking.session import TaskSession
from sparklabel.reviewing.people import READER, Person
from sparklabel.reviewing.requests import parsed
from sparklabel.reviewing.review_state import NotReady, ReviewState
from sparklabel.reviewing.web.refusals import Refusal
from sparklabel.reviewing.web.sign_in import SignIn

Found = TypeVar("Found", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Context:
    """The server's state, and its door."""

    state: ReviewState
    sign_in: SignIn

    def person(self, request: Request, role: str = READER) -> Person:
        """Who asks. Raises a refusal: 401 for nobody, 403 for a role that is too low."""
        person = self.sign_in.person(request)
        if not person.may(role):
            raise Refusal(403, f"This is for the role {role}; yours is {person.role}.")
        self.state.touch(person)
        return person

    def session(self, task: str) -> TaskSession:
        """A task's session. Raises a refusal: 404 if there is no such task, 503 before its rows are there."""
        try:
            return self.state.session(task)
        except KeyError:
            raise Refusal(404, "There is no such task.") from None
        except NotReady as error:
            raise not_ready(error) from None

    def check_task(self, task: str) -> None:
        """Raises a refusal, 404, if there is no such task."""
        if task not in self.state.tasks:
            raise Refusal(404, "There is no such task.")


def not_ready(error: NotReady) -> Refusal:
    """The refusal of what can be asked again."""
    return Refusal(503, error.why, "It is tried again by itself.", {"Retry-After": "2"})


async def body(request: Request, kind: type[Found]) -> Found:
    """What was sent. Raises a refusal: 413 for too much, 422 for what cannot be read."""
    try:
        return parsed(await request.body(), kind)
    except ValueError as error:
        raise Refusal(422, f"The request cannot be read: {error}.") from None
