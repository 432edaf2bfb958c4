"""The statuses of a label: whether a row has an answer, and if not, why."""

OK, TRUNCATED = "ok", "truncated"
EMPTY_INPUT, TOO_LONG, INVALID_OUTPUT = "empty_input", "too_long", "invalid_output"
ENGINE_ERROR, TIMEOUT = "engine_error", "timeout"
ENGINE_DIED = "engine_died"
"""The engine's process died whenever it was asked for this row alone: each further attempt would kill it again."""
UNCERTAIN = "uncertain"
"""The answer's confidence was below `min_confidence`: it is withheld, and is the first of the alternatives."""

ANSWERED = (OK, TRUNCATED)
RETRYABLE = (ENGINE_ERROR, TIMEOUT)
"""Failures that another attempt may not have. The others would fail again, and wait for a changed input or task."""

FAILURES = (EMPTY_INPUT, TOO_LONG, INVALID_OUTPUT, ENGINE_DIED, *RETRYABLE)
