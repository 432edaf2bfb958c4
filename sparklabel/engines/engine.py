"""What an engine is: token ids and a constraint in, scores out. Prompts, parsing and confidence live outside."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparklabel.constraints import LabelTrie, TokenPath
from sparklabel.prompts import Tokenizer


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """N rows of token ids behind one shared prefix (may be empty), and the labels' trie."""

    prefix: TokenPath
    rows: tuple[TokenPath, ...]
    trie: LabelTrie


class Engine(Protocol):
    """`score` gives float32 [N, O]: for each row, the logits of the trie's options, up to a constant per branching
    node. Raises EngineError when the batch could not be computed."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    def score(self, request: ScoringRequest) -> NDArray[np.float32]: ...
