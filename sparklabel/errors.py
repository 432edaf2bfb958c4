"""Every error that sparklabel raises on purpose.

    SparklabelError
    ├── TaskError           a task definition that cannot work, or a YAML file with a wrong field
    ├── TableError          a table, column or key that cannot be labelled
    │   ├── ColumnError     a column is missing, or its name is taken
    │   └── KeyColumnError  the key has NULLs or duplicates
    ├── AnswersError        the human answers cannot train or judge a model
    ├── ModelError          a model reference that does not resolve, or files that do not load
    │   └── ModelUnreachable  who has the files did not give them this time
    ├── EngineError         the engine failed on what it was asked
    │   └── EngineDied      it will answer nothing more: another one must be opened
    ├── ConflictError       other writers kept winning; nothing was lost
    └── SetupError          something is not installed or configured, or an engine or option is unknown

What fails in one row is never an exception: it is that row's `status` (see labels.py).
"""


class SparklabelError(Exception):
    """One sentence on what is wrong, then `hint`: what to do about it.

    `retryable` says whether the same call can succeed later with nothing changed.
    """

    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (Spark workers); keyword arguments do not survive the default pickling.
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(cls: type[SparklabelError], message: str, hint: str) -> SparklabelError:
    return cls(message, hint=hint)


class TaskError(SparklabelError):
    """A task definition that cannot work."""


class TableError(SparklabelError):
    """A table that cannot be labelled as asked."""


class ColumnError(TableError):
    """A column is missing, or its name is taken."""


class KeyColumnError(TableError):
    """The key does not name each row once."""


class AnswersError(SparklabelError):
    """The human answers cannot train or judge a model."""


class ModelError(SparklabelError):
    """A model reference that does not resolve, or files that do not load."""


class ModelUnreachable(ModelError):
    """A model's files could not be fetched this time; that says nothing of the model."""

    retryable = True


class EngineError(SparklabelError):
    """The engine failed; another attempt may work."""

    retryable = True


class EngineDied(EngineError):
    """The engine failed for good; another one may work."""


class ConflictError(SparklabelError):
    """Other writers of the table kept winning; what was computed is kept in staging."""

    retryable = True


class SetupError(SparklabelError):
    """Something is not installed or configured, or an engine or option is unknown."""
