"""Sentence encoders by reference, as classifiers read them: the shipped one, a folder, or the hub's.

In: a reference. Out: a `ResolvedModel`, pinned on the driver, whose files `references.fetch` gives on every host. No
weights are loaded here.
"""

from sparklabel.errors import ModelError
from sparklabel.models import references
from sparklabel.models.references import ResolvedModel
from sparklabel.models.shipped_encoder import ENCODER, shipped_sha256

_MODULES = "modules.json"


def resolve_encoder(reference: str) -> ResolvedModel:
    """Pins an encoder: the shipped one by its name, or a folder or hub id that sentence-transformers has written.

    Raises:
        ModelError: Nothing has this name, or it is no sentence encoder, or its weights are pickled.
        SetupError: The shipped encoder is not installed.
    """
    if reference == ENCODER:
        sha256 = shipped_sha256()
        return ResolvedModel(ENCODER, "shipped", f"{ENCODER}@sha256:{sha256[:16]}", "", sha256=sha256)
    try:
        model = references.resolve(reference)
    except ModelError as error:
        raise type(error)(error.message.replace("The model", "The encoder", 1), hint=_FORMS) from None
    if model.source not in ("folder", "hub"):
        raise ModelError(f"{reference!r} is a language model, not a sentence encoder.", hint=_FORMS)
    if not (references.fetch(model) / _MODULES).is_file():
        raise ModelError(
            f"{reference!r} is not a sentence encoder: it has no {_MODULES}.",
            hint="Save one with SentenceTransformer(...).save(folder).",
        )
    return model


_FORMS = f"Give {ENCODER!r}, or a folder or hub id of a sentence-transformers model."
