"""A deterministic engine without a model, for tests, notebooks and dry runs of a pipeline.

It ships with the package and walks the whole path: prompts are really tokenised (one token a byte), tries are really
read, JSON really fits its schema. A label whose spoken name occurs in the row gets most of the probability; otherwise
the scores are a hash of the model's name and the row. What it writes comes from the row's words (fake_answers.py). Its
answers mean nothing.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparklabel.constraints import END
from sparklabel.engines.engine import Generation, GenerationRequest, ScoringRequest
from sparklabel.engines.fake_answers import fake_answer
from sparklabel.errors import EngineError

_USER, _ASSISTANT, _STOP = 256, 257, 258
_SPECIAL = {"<user>": _USER, "<assistant>": _ASSISTANT, "<stop>": _STOP}


class ByteTokenizer:
    """One token a byte; three special tokens, which text from rows cannot produce."""

    bos: str = ""
    stop_ids: tuple[int, ...] = (_STOP,)
    context: int = 8192

    def encode(self, text: str, *, inside: bool = False) -> list[int]:
        for name, token in _SPECIAL.items():
            before, mark, after = text.partition(name)
            if mark:
                return [*self.encode(before), token, *self.encode(after)]
        return list(text.encode())

    def encode_rows(self, texts: Sequence[str], *, behind: str | None = None) -> list[list[int]]:
        return [list(text.encode(errors="replace")) for text in texts]

    def chat(self) -> tuple[str, str] | None:
        return "<user>", "<assistant>"

    def chat_lead(self) -> str:
        return ""


class FakeEngine:
    """Scores and writes by rule. Two fakes with different model names agree only on rows that name a label.

    `fail_on` is for trying out failures: a batch with a row that holds this text raises EngineError.
    """

    def __init__(self, model: str = "fake", fail_on: str | None = None) -> None:
        self.tokenizer = ByteTokenizer()
        self._seed = model.encode()
        self._fail_on = fail_on.encode() if fail_on else None

    def score(self, request: ScoringRequest) -> NDArray[np.float32]:
        rows = self._texts(request.rows)
        return np.array([self._scores(row.lower(), request) for row in rows], dtype=np.float32).reshape(
            len(request.rows), len(request.trie.option_tokens)
        )

    def generate(self, request: GenerationRequest) -> list[Generation]:
        return [self._written(row, request) for row in self._texts(request.rows)]

    def _texts(self, rows: Sequence[Sequence[int]]) -> list[bytes]:
        """The rows' text without special tokens. Raises EngineError as `fail_on` asks."""
        texts = [bytes(token for token in row if token < 256) for row in rows]
        if self._fail_on and any(self._fail_on in text for text in texts):
            raise EngineError("The fake engine fails, as fail_on asks.")
        return texts

    def _scores(self, text: bytes, request: ScoringRequest) -> list[float]:
        trie = request.trie
        named = [
            n
            for n, path in enumerate(trie.paths)
            if bytes(p for p in path if p != END).strip().lower() in text
        ]
        favoured = set(trie.routes[max(named, key=lambda n: len(trie.paths[n]))]) if named else set()
        digest = hashlib.sha256(self._seed + text).digest()
        return [
            (4.0 if o in favoured else 0.0) + digest[o % 32] / 256 for o in range(len(trie.option_tokens))
        ]

    def _written(self, row: bytes, request: GenerationRequest) -> Generation:
        """One token a byte. A token that leaves a character unfinished ends where that character begins."""
        written = fake_answer(request.schema, row.decode(errors="ignore"), self._seed).encode()
        tokens = written[: request.max_tokens]
        digest = hashlib.sha256(self._seed + row).digest()
        log_p = tuple(-digest[t % 32] / 1024 for t in range(len(tokens)))
        return Generation(
            tokens.decode(errors="ignore"), _ends(tokens), log_p, finished=len(tokens) == len(written)
        )


def _ends(text: bytes) -> tuple[int, ...]:
    """For each byte, how many characters of UTF-8 are complete behind it."""
    return tuple(len(text[: n + 1].decode(errors="ignore")) for n in range(len(text)))
