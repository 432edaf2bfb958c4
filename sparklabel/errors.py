"""Every error that sparklabel raises on purpose.

    SparklabelError
    ├── TaskError           a task definition that cannot work, or a YAML file with a wrong field
    ├── TableError          a table, column or key that cannot be labeled
    │   ├── ColumnError     a column is missing, or its name is taken
    │   └── KeyColumnError  the key has NULLs or duplicates
    ├── AnswersError        the human answers cannot train or judge a model
    ├── ModelError          a model reference that does not resolve, or files that do not load
    │   └── ModelUnreachable  the model's files could not be downloaded; retry later
    ├── TrainingInterrupted  a training was ended early; its checkpoints are kept
    ├── EngineError         the engine failed on a batch
    │   └── EngineDied      the engine failed for good: another one must be opened
    ├── ConflictError       other writers kept winning; nothing was lost
    └── SetupError          something is not installed or configured, or an engine or option is unknown

A failure in one row is never an exception: it is that row's `status` (see `sparklabel.labels.status`).
"""

from sparklabel.redaction import printable_lines, shortened

_LONGEST = 2000
"""Characters of a message: a wrong argument that it quotes may be a whole document."""


class SparklabelError(Exception):
    """`message` says in one sentence what is wrong, `hint` what to do about it. Control characters of what they
    quote are escaped; of what is very long the middle is left out.

    `retryable`: the same call may succeed later although nothing was changed.
    """

    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = shortened(printable_lines(message), _LONGEST)
        self.hint = printable_lines(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel between processes (Spark workers), and default pickling loses keyword arguments.
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(cls: type[SparklabelError], message: str, hint: str) -> SparklabelError:
    return cls(message, hint=hint)


class TaskError(SparklabelError):
    """A task definition that cannot work."""


class TableError(SparklabelError):
    """A table that cannot be labeled as requested."""


class ColumnError(TableError):
    """A column is missing, or its name is taken."""


class KeyColumnError(TableError):
    """The key does not identify each row: it has NULLs or duplicates."""


class AnswersError(SparklabelError):
    """The human answers cannot train or judge a model."""


class ModelError(SparklabelError):
    """A model reference that does not resolve, or files that do not load."""


class ModelUnreachable(ModelError):
    """A model's files could not be downloaded; retry later."""

    retryable = True


class TrainingInterrupted(SparklabelError):
    """A training was interrupted, in most cases because a rank was lost. The same call resumes from the newest
    checkpoint."""

    retryable = True


class EngineError(SparklabelError):
    """The engine failed on a batch; another attempt may work."""

    retryable = True


class EngineDied(EngineError):
    """The engine failed for good; another one may work."""


class ConflictError(SparklabelError):
    """Other writers of the table kept winning. What was computed is kept in staging."""

    retryable = True


class SetupError(SparklabelError):
    """Something is not installed or configured, or an engine or option is unknown."""
