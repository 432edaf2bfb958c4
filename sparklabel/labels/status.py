"""The statuses of a label: whether a row has an answer, and if not, why."""

OK, TRUNCATED = "ok", "truncated"
EMPTY_INPUT, TOO_LONG, INVALID_OUTPUT = "empty_input", "too_long", "invalid_output"
ENGINE_ERROR, TIMEOUT = "engine_error", "timeout"
UNCERTAIN = "uncertain"
"""The model gave an answer that it did not trust enough: the best guess is among the alternatives."""

ANSWERED = (OK, TRUNCATED)
RETRYABLE = (ENGINE_ERROR, TIMEOUT)
"""Failures that another attempt can mend. The others would fail again: they wait for a changed input or task."""

FAILURES = (EMPTY_INPUT, TOO_LONG, INVALID_OUTPUT, *RETRYABLE)
