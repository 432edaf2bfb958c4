"""The field `base` of an adapter's manifest: enough to find the same weights again, and to recognize them.

In: a pinned model; or a record that a store gave, which is checked field by field before anything that it names is
looked for. Out: a record; or a pinned model. No weights are loaded here.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sparklabel.errors import ModelError
from sparklabel.models import references
from sparklabel.models.encoders import resolve_encoder
from sparklabel.models.references import EMBEDDED, ResolvedModel
from sparklabel.models.shipped_encoder import ENCODER

_FIELDS = ("reference", "source", "identity", "location", "revision", "sha256")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"models:/[^/:@]+/\d+")
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


def base_record(base: ResolvedModel) -> dict[str, str]:
    """The record of a model that an adapter is trained on. Raises ModelError for one that is an adapter itself."""
    if base.base is not None:
        raise ModelError(
            f"{base.reference!r} is itself a fine-tuned model, and an adapter cannot be trained on another one.",
            hint=f"Train from its base, {base.base.reference!r}.",
        )
    location = base.location if base.source == "folder" else base.reference
    if base.source == "artifact":  # a version that is a whole model; an alias may name another one tomorrow
        location = base.identity.partition("@")[0]
    record = {name: getattr(base, name) for name in _FIELDS}
    return record | {"reference": location}


def recorded_base(
    model: str, record: Mapping[str, Any], resolve: Callable[[str], ResolvedModel] = references.resolve
) -> ResolvedModel:
    """The base that the manifest of `model` names. `resolve` pins references: the registry's knows versions, too.

    Raises ModelError: the record is malformed, or the base is missing or not the same any more.
    """
    recorded = _checked(model, record)
    if recorded.source == "hub":  # pinned by its commit, even if the hub has a newer one
        return recorded
    try:
        today = resolve_encoder(ENCODER) if recorded.source == "shipped" else resolve(recorded.reference)
    except ModelError as error:
        message = f"{model!r} was trained on {recorded.identity}, which is not here: {error.message}"
        raise type(error)(message, hint=error.hint) from None
    if today.sha256 != recorded.sha256:
        raise ModelError(
            f"{model!r} was trained on {recorded.identity}, but "
            f"{recorded.reference!r} is now {today.identity}.",
            hint="Bring the old base back, or fine-tune again on the new one.",
        )
    return today


def _checked(model: str, record: Mapping[str, Any]) -> ResolvedModel:
    """The record as it was written, if it names a base that sparklabel can have written."""
    if (
        not isinstance(record, Mapping)
        or set(record) != set(_FIELDS)
        or not all(isinstance(value, str) for value in record.values())
    ):
        raise ModelError(f"The manifest of {model!r} does not name its base: {record!r}.", hint=_AGAIN)
    recorded = ResolvedModel(**record)
    if recorded.identity != _identity(recorded):
        raise ModelError(
            f"The manifest of {model!r} names a base that nothing pins: {record!r}.", hint=_AGAIN
        )
    return recorded


_AGAIN = "It was not written by sparklabel: fine-tune again, and find out who can write the store."


def _identity(recorded: ResolvedModel) -> str | None:
    """The identity that follows from the other fields; None if they do not pin a base."""
    where, hashed = recorded.location, _SHA256.fullmatch(recorded.sha256)
    if recorded.source == "hub" and _HUB_ID.fullmatch(where) and _COMMIT.fullmatch(recorded.revision):
        return f"{where}@{recorded.revision}"
    if recorded.source == "folder" and hashed and recorded.reference == where and Path(where).is_absolute():
        return f"folder@sha256:{recorded.sha256[:16]}"
    if recorded.source == "embedded" and hashed and recorded.reference == EMBEDDED:
        return f"{EMBEDDED}@sha256:{recorded.sha256[:16]}"
    if recorded.source == "shipped" and hashed and recorded.reference == ENCODER:
        return f"{ENCODER}@sha256:{recorded.sha256[:16]}"
    if recorded.source == "artifact" and hashed and _VERSION.fullmatch(recorded.reference):
        return f"{recorded.reference}@sha256:{recorded.sha256[:16]}"
    return None
