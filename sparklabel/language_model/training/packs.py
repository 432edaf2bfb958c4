"""Packed examples as files: what an instruction tuning learns from, written by Spark's tasks and read by ranks.

In: pieces (a prompt's token ids and its answer's), or a folder. Out: Arrow files of packs with a manifest, or packs.
Nothing is computed with them here, and nothing here knows Spark or tasks.

A folder has `manifest.json` and `part-00000.arrow`, `part-00001.arrow`, ... Where the manifest is, all files are whole.
"""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
from numpy.typing import NDArray

from sparklabel.errors import ModelError
from sparklabel.label_trie import TokenPath
from sparklabel.language_model.training.packing import best_fit

MANIFEST = "manifest.json"
_INTEGERS = pa.list_(pa.int32())
_SCHEMA = pa.schema(
    [("tokens", _INTEGERS), ("ends", _INTEGERS), ("answers", _INTEGERS), ("sources", _INTEGERS)]
)


@dataclass(frozen=True, slots=True)
class Piece:
    """An example in a pack: a prompt's token ids, those of its answer with the token that ends it, and the number of
    the source that it is from."""

    prompt: TokenPath
    answer: TokenPath
    source: int

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True, slots=True)
class Pack:
    """Pieces one behind the other: `tokens` [T]. Piece number i ends before `ends[i]`, and its answer begins at
    `answers[i]`; it is from the source `sources[i]`."""

    tokens: NDArray[np.int32]
    ends: NDArray[np.int32]
    answers: NDArray[np.int32]
    sources: NDArray[np.int32]

    @property
    def learned(self) -> int:
        """How many of its tokens are learned: those of the answers."""
        return int((self.ends - self.answers).sum())


@dataclass(frozen=True, slots=True)
class PackFile:
    """One file: its name, how many packs, pieces, tokens and learned tokens it has, and its hash."""

    name: str
    packs: int
    pieces: int
    tokens: int
    learned: int
    sha256: str


@dataclass(frozen=True)
class PackManifest:
    """What a folder has. `size`: of a pack, in tokens. `sources`: the pieces of each source."""

    size: int
    files: tuple[PackFile, ...]
    sources: tuple[int, ...]

    @property
    def packs(self) -> int:
        return sum(file.packs for file in self.files)

    @property
    def pieces(self) -> int:
        return sum(file.pieces for file in self.files)

    @property
    def tokens(self) -> int:
        return sum(file.tokens for file in self.files)

    @property
    def learned(self) -> int:
        return sum(file.learned for file in self.files)

    @property
    def padding(self) -> float:
        """The share of all packs that no token fills, in [0, 1]."""
        return 1 - self.tokens / max(1, self.packs * self.size)

    @cached_property
    def digest(self) -> str:
        """A hash of all that is in the folder."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "PackManifest":
        """What `to_json` gave."""
        found: dict[str, Any] = json.loads(text)
        return cls(found["size"], tuple(PackFile(**file) for file in found["files"]), tuple(found["sources"]))


def write_packs(file: Path, pieces: Sequence[Piece], size: int) -> PackFile:
    """Packs the pieces into a file, whole or not at all: equal pieces in one order give equal files."""
    packs = [_joined([pieces[i] for i in numbers]) for numbers in best_fit(list(map(len, pieces)), size)]
    columns = [pa.array([getattr(pack, field.name) for pack in packs], field.type) for field in _SCHEMA]
    partial = file.with_name(
        f".{file.name}-{uuid.uuid4().hex}"
    )  # another attempt of the task may write the same
    feather.write_feather(pa.table(columns, schema=_SCHEMA), str(partial), compression="zstd")
    sha256 = hashlib.sha256(partial.read_bytes()).hexdigest()
    partial.replace(file)
    return PackFile(
        file.name, len(packs), len(pieces), sum(map(len, pieces)), sum(pack.learned for pack in packs), sha256
    )


def _joined(pieces: Sequence[Piece]) -> Pack:
    ends = np.cumsum([len(piece) for piece in pieces]).astype(np.int32)
    tokens = np.array([token for piece in pieces for token in (*piece.prompt, *piece.answer)], np.int32)
    answers = ends - np.array([len(piece.answer) for piece in pieces], np.int32)
    return Pack(tokens, ends, answers, np.array([piece.source for piece in pieces], np.int32))


@dataclass(frozen=True)
class PackFolder:
    """A prepared folder."""

    path: Path

    @cached_property
    def manifest(self) -> PackManifest:
        """Raises ModelError if there is none: nothing was prepared here, or not to its end."""
        try:
            return PackManifest.from_json((self.path / MANIFEST).read_text("utf-8"))
        except FileNotFoundError:
            raise ModelError(f"There are no prepared examples in {self.path}.") from None

    def read(self, number: int) -> list[Pack]:
        """The packs of a file. Raises ModelError if it is not the one that was written."""
        file = self.manifest.files[number]
        path = self.path / file.name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"The prepared examples in {path} cannot be read: {error.strerror}.") from None
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise ModelError(
                f"The prepared examples in {path} are not those that were written.",
                hint=f"Delete {self.path}: the next call prepares them again.",
            )
        table = feather.read_table(pa.BufferReader(content))
        columns = [_rows(table[field.name]) for field in _SCHEMA]
        return [Pack(*row) for row in zip(*columns, strict=True)]


def _rows(column: pa.ChunkedArray) -> list[NDArray[np.int32]]:
    whole = column.combine_chunks()
    # A copy: torch warns of arrays that cannot be written.
    return np.split(whole.values.to_numpy().copy(), whole.offsets.to_numpy()[1:-1])
