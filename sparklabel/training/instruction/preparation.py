"""What a mixture was packed into, as files have it: what became of each source, and what an unfinished training uses.

In: a folder; or a mixture and the versions of its tables. Out: a `Preparation`; a name for its folder. Nothing is
packed here.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sparklabel.language_model.training.durable import write_whole
from sparklabel.language_model.training.packs import MANIFEST, PackFolder, PackManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.progress import tell
from sparklabel.stored_records import read_record
from sparklabel.table.human_answers import HumanAnswer
from sparklabel.training.instruction.mixture import Mixture
from sparklabel.training.instruction.sources import PinnedSource

_FORMAT = 4
"""Raised when a release packs otherwise."""
_FACTS = "preparation.json"
MANY_COPIES = 4.0
"""Rows that are shown more often than this are learned by heart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedSource:
    """What became of a source.

    Attributes:
        name: Its table, as the user calls it.
        location, version: Of the table that was read.
        counts: Its rows by use.
        copies: How often each row that teaches was shown, on average.
        pieces: Its examples in the packs.
        truncated: Those whose input was cut to fit a pack.
        too_long: Those that do not fit: they teach nothing.
        judging: The rows that judge: inputs and right answer.
    """

    name: str
    location: str
    version: int
    counts: Mapping[str, int]
    judging: Sequence[Any]
    copies: float = 0.0
    pieces: int = 0
    truncated: int = 0
    too_long: int = 0

    @property
    def judges(self) -> tuple[HumanAnswer, ...]:
        return tuple(HumanAnswer(tuple(inputs), answer, None) for inputs, answer in self.judging)


@dataclass(frozen=True)
class Preparation:
    """What was packed: the folder, and what became of each source of the mixture, in its order."""

    path: str
    sources: tuple[PackedSource, ...]

    @cached_property
    def folder(self) -> PackFolder:
        return PackFolder(Path(self.path))


def packs_digest(mixture: Mixture, pinned: Sequence[PinnedSource], base: ResolvedModel, size: int) -> str:
    """A hash of all that determines the packs, and which rows judge."""
    return _digest(mixture, [one.pin for one in pinned], base, size)


def mixture_digest(mixture: Mixture, base: ResolvedModel, *others: Any) -> str:
    """The same for a mixture whose tables may have got new versions."""
    return _digest(mixture, [[one.table, *one.answers_of] for one in mixture.sources], base, *others)


def _digest(mixture: Mixture, pins: Sequence[Any], base: ResolvedModel, *others: Any) -> str:
    content = [
        _FORMAT, base.identity, mixture.cap, mixture.temperature, mixture.few_shot, mixture.shuffle_labels,
        mixture.seed, *others,
        [
            [pin, one.task.to_dict(), one.weight, one.max_rows, one.held_out]
            for one, pin in zip(mixture.sources, pins, strict=True)
        ],
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:32]


def prepared(path: Path) -> Preparation | None:
    """What an earlier call has packed into the folder; None if it did not come to its end."""
    if not (path / MANIFEST).is_file():
        return None
    found = json.loads((path / _FACTS).read_text("utf-8"))
    return Preparation(str(path), tuple(read_record(PackedSource, one) for one in found["sources"]))


def write_preparation(path: Path, sources: Sequence[PackedSource], manifest: PackManifest) -> Preparation:
    """Says that all is in the folder."""
    write_whole(path / _FACTS, json.dumps({"sources": [asdict(one) for one in sources]}))
    write_whole(path / MANIFEST, manifest.to_json())  # last: where it is, all is there
    return Preparation(str(path), tuple(sources))


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A file that names what an unfinished training has packed, and its MLflow run: the same call goes on with both,
    though tables may have got new versions meanwhile."""

    file: Path

    def packed(self) -> Preparation | None:
        found = prepared(Path(self._read().get("packs", "")))
        if found:
            tell(
                f"an unfinished training goes on with the versions of the tables that it began with; to begin anew, "
                f"delete {self.file}"
            )
        return found

    @property
    def run_id(self) -> str | None:
        """The MLflow run's."""
        return self._read().get("run")

    def note(self, packed: Preparation, run_id: str) -> None:
        write_whole(self.file, json.dumps({"packs": packed.path, "run": run_id}))

    def remove(self) -> None:
        """When the model is registered and judged."""
        self.file.unlink(missing_ok=True)

    def _read(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads(self.file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return found
