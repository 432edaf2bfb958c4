"""A version's classifier, ready to read rows.

In: a task, what the version's manifest says of its classifier, and the folders of its files. Out: a `RowClassifier`.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sparklabel.classifiers.classifier import Classifier
from sparklabel.classifiers.features import TextReader
from sparklabel.classifiers.storage import load_classifier
from sparklabel.engines import Engine
from sparklabel.engines.encoder import EncoderEngine
from sparklabel.language_model import SentenceEncoder
from sparklabel.models.manifest import ClassifierManifest
from sparklabel.tasks import Scored, Task

_loaded = lru_cache(maxsize=2)(SentenceEncoder.load)


@dataclass(frozen=True, slots=True)
class RowClassifier:
    """A classifier; and what reads the rows' texts for it, None if it reads a language model alone."""

    classifier: Classifier
    reader: TextReader | None


def row_classifier(
    task: Task, manifest: ClassifierManifest, heads: Path | None, encoder: Path | None, engine: Engine
) -> RowClassifier:
    """Loads a version's classifier.

    Args:
        task: The version's task, which is scored.
        manifest: What the version's manifest says of it.
        heads: The folder of the heads.
        encoder: The folder of the sentence encoder.
        engine: The version's; one that is an encoder is not loaded twice.

    Raises:
        ModelError: The files cannot be read, or do not fit the task.
    """
    mode = task.answer_mode
    assert isinstance(mode, Scored), "generated answers have no classifier"
    assert heads is not None, "a classifier without heads"
    classifier = load_classifier(heads, manifest.weights, mode.groups or (len(mode.choices),))
    if encoder is None:
        return RowClassifier(classifier, None)
    opened = engine.encoder if isinstance(engine, EncoderEngine) else _loaded(encoder, str(encoder))
    return RowClassifier(classifier, TextReader(task, opened))
