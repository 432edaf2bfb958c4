"""Names that become columns and fields: they must suit SQL, Python and the names of registered models."""

from typing import Annotated

from pydantic import AfterValidator, Strict


def _identifier(name: str) -> str:
    if not name.isidentifier() or not name.isascii():
        raise ValueError(f"{name!r} must be letters, digits and underscores, not starting with a digit")
    return name


Identifier = Annotated[str, Strict(), AfterValidator(_identifier)]
