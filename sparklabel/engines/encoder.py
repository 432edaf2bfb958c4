"""The engine of versions without a language model: a sentence encoder, which a classifier reads.

In: texts. Out: unit vectors. It scores nothing and writes nothing: what answers is the classifier.
"""

from pathlib import Path
from typing import NoReturn

from sparklabel.engines.base import GenerationRequest, ScoringRequest
from sparklabel.errors import EngineError
from sparklabel.language_model import EncoderTokenizer, SentenceEncoder


class EncoderEngine:
    """A sentence encoder in this process. `encoder` embeds texts."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.encoder = encoder

    @classmethod
    def load(cls, folder: Path, identity: str, threads: int | None = None) -> "EncoderEngine":
        """Loads the encoder in a folder. Raises ModelError.

        Args:
            folder: As sentence-transformers saves one.
            identity: The model's.
            threads: Torch's CPU threads.
        """
        return cls(SentenceEncoder.load(folder, identity, threads))

    @property
    def tokenizer(self) -> EncoderTokenizer:
        return self.encoder.tokenizer

    def score(self, request: ScoringRequest) -> NoReturn:
        raise EngineError("A sentence encoder has no language model that scores choices.")

    def generate(self, request: GenerationRequest) -> NoReturn:
        raise EngineError("A sentence encoder has no language model that writes.")
