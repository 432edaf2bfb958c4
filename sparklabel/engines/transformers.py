"""The transformers engine: one model in this process, on CPU or GPU."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparklabel.constraints import TokenPath
from sparklabel.engines.engine import ScoringRequest
from sparklabel.errors import EngineError
from sparklabel.language_model import LanguageModel
from sparklabel.language_model.model import SharedPrefix


class TransformersEngine:
    """Keeps the encoded prefix of the last request, since a task's prompts all share one."""

    def __init__(self, language_model: LanguageModel) -> None:
        self.language_model = language_model
        self.tokenizer = language_model.tokenizer
        self._prefix: SharedPrefix | None = None

    @classmethod
    def load(
        cls,
        base: Path,
        adapter: Path | None = None,
        *,
        dtype: str = "auto",
        device: str | None = None,
        batch_tokens: int | None = None,
        threads: int | None = None,
    ) -> "TransformersEngine":
        """`threads`: torch's CPU threads, left alone when None. Raises ModelError."""
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        return cls(LanguageModel.load(base, adapter, dtype=dtype, device=device, batch_tokens=batch_tokens))

    def score(self, request: ScoringRequest) -> NDArray[np.float32]:
        try:
            return self.language_model.option_logits(
                self._encoded(request.prefix), request.rows, request.trie
            )
        except (MemoryError, RuntimeError) as error:
            if not _is_hardware(error):
                raise
            raise EngineError(f"{type(error).__name__}: {str(error).splitlines()[0][:500]}") from error

    def _encoded(self, prefix: TokenPath) -> SharedPrefix:
        if self._prefix is None or self._prefix.ids != prefix:
            self._prefix = self.language_model.encode_prefix(prefix)
        return self._prefix


def _is_hardware(error: Exception) -> bool:
    """Memory that ran out, or a device that failed; every other RuntimeError is a bug and passes."""
    import torch

    known = (MemoryError, torch.OutOfMemoryError, torch.AcceleratorError)
    return isinstance(error, known) or "allocate memory" in str(error)
