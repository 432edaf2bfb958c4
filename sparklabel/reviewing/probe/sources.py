"""What the probe reads of rows: sentence vectors, and hidden states of the embedded model.

In: a task, which of them are wanted. Out: what reads each, loaded, or why it cannot be. Each reads with one thread: the
other cores serve people.
"""

from dataclasses import dataclass

from sparklabel import registry
from sparklabel.classifiers import classifier
from sparklabel.classifiers.features import sentence_features
from sparklabel.classifiers.heads import Features
from sparklabel.errors import SparklabelError
from sparklabel.labeler import PreparedTask
from sparklabel.language_model import SentenceEncoder
from sparklabel.models import references
from sparklabel.models.encoders import resolve_encoder
from sparklabel.models.references import ResolvedModel
from sparklabel.probe.hidden_states import HiddenStates
from sparklabel.reviewing.probe.row_features import KnownVectors
from sparklabel.reviewing.probe.worker import ReadRows, names_of
from sparklabel.reviewing.review_call import AUTO, HIDDEN, SENTENCE
from sparklabel.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What reads rows, by source, the cheapest first; the vectors of the labels' names, if there are any; the identity
    of the model whose hidden states are read; and what is missing, in a sentence."""

    read: dict[str, ReadRows]
    names: Features | None
    hidden_model: str = ""
    missing: str = ""


def open_sources(task: Task, features: str, encoder: str, model: str) -> Sources:
    """Loads what is wanted.

    Args:
        task: A scored one.
        features: AUTO, SENTENCE or HIDDEN. AUTO is both, or the one that there is.
        encoder: A sentence encoder by reference.
        model: The language model whose hidden states are read, by reference.

    Raises:
        SparklabelError: None of what is wanted can be loaded.
    """
    read: dict[str, ReadRows] = {}
    names, hidden_model, missing = None, "", list[Exception]()
    if features in (AUTO, SENTENCE):
        try:
            known = KnownVectors(_open_encoder(encoder))
            names = names_of(task, known)
            read[classifier.SENTENCE] = lambda rows: sentence_features(task, rows, known)
        except SparklabelError as error:
            missing.append(error)
    if features in (AUTO, HIDDEN):
        try:
            resolved = registry.resolve(model)
            read[classifier.HIDDEN], hidden_model = _open_hidden_states(task, resolved), resolved.identity
        except Exception as error:  # whatever a model's files do: sentence vectors alone make a probe
            if not read and not isinstance(error, SparklabelError):
                raise
            missing.append(error)
    if not read:
        raise missing[0]
    return Sources(
        read=read, names=names, hidden_model=hidden_model, missing=str(missing[0]) if missing else ""
    )


def _open_encoder(reference: str) -> SentenceEncoder:
    found = resolve_encoder(reference)
    return SentenceEncoder.load(references.fetch(found), found.identity, threads=1)


def _open_hidden_states(task: Task, model: ResolvedModel) -> HiddenStates:
    """The prompt has no instructions: with them every row would take many times as long."""
    from sparklabel.engines.transformers import TransformersEngine  # imports torch

    engine = TransformersEngine.load(registry.fetch(model).base, device="cpu", threads=1)
    return HiddenStates(engine, PreparedTask.bare(task, engine.tokenizer).encoder)
