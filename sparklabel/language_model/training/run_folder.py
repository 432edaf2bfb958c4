"""The folder of a training that several processes share: what is trained, and what came of it.

In: a spec and examples, written once, by the driver. Out: the same, for ranks on any host that sees the folder; and the
adapter of the attempt that came to its end. JSON and Arrow, no pickle.
"""

import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.feather as feather

from sparklabel import errors
from sparklabel.errors import SparklabelError
from sparklabel.label_trie import Step
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.durable import sync, write_whole
from sparklabel.language_model.training.examples import TrainingExample
from sparklabel.redaction import typed_line
from sparklabel.stored_records import read_record

if TYPE_CHECKING:
    from sparklabel.language_model.training.loop import StepMetrics

_SPEC, _EXAMPLES, _PROGRESS, _DONE = "spec.json", "examples.arrow", "progress.jsonl", "DONE.json"
_END, _TOO_LARGE = "END", "too-large.json"
ADAPTER = "adapter"
"""The folder of an attempt in which the first rank saves what was trained."""
_STEP = pa.struct([("depth", pa.int32()), ("options", pa.list_(pa.int32())), ("target", pa.int32())])
_SCHEMA = pa.schema(
    [("prompt", pa.list_(pa.int32())), ("answer", pa.list_(pa.int32())), ("steps", pa.list_(_STEP))]
)


GONE = 75
"""The exit status of a rank that was asked to end, or whose leash or another rank is gone: its training can go on."""


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """Everything a training depends on except its examples.

    Attributes:
        base: The identity of the base, with the hash of its files.
        config: How it is trained.
        choices: How many choices the task has; None if answers are written.
        packs: The folder with what is learned, if that is packs and not examples; `packs_digest` is the hash of what it
            has.
    """

    base: str
    config: TrainingConfig
    choices: int | None
    packs: str = ""
    packs_digest: str = ""

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> "TrainingSpec":
        """What `asdict` gave, read back from JSON."""
        return read_record(cls, dict(found) | {"config": TrainingConfig.from_dict(found["config"])})


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder, which may not be there yet."""

    path: Path

    @classmethod
    def of(
        cls, root: Path, spec: TrainingSpec, examples: Sequence[TrainingExample], own: str = ""
    ) -> "RunFolder":
        """The folder in `root` for a training: the same call finds what an earlier one left. Its name is a hash of all
        that the training depends on, and of `own`, which keeps equal trainings apart. It is written if it is not there.
        """
        content, table = json.dumps(asdict(spec), sort_keys=True), _table(examples)
        digest = hashlib.sha256((content + own).encode())
        for batch in table.to_batches():
            digest.update(batch.serialize())
        folder = cls(root / digest.hexdigest()[:32])
        if not folder.is_there:
            folder.path.mkdir(parents=True, exist_ok=True)
            # Another driver may do the same.
            with tempfile.TemporaryDirectory(dir=folder.path, prefix=".") as made:
                examples_file, spec_file = Path(made) / _EXAMPLES, Path(made) / _SPEC
                feather.write_feather(table, str(examples_file), compression="zstd")
                spec_file.write_text(content, "utf-8")
                examples_file.rename(folder.path / _EXAMPLES)
                spec_file.rename(folder.path / _SPEC)  # last: where it is, the examples are whole
        return folder

    @property
    def is_there(self) -> bool:
        return (self.path / _SPEC).is_file()

    @property
    def spec(self) -> TrainingSpec:
        return TrainingSpec.from_dict(json.loads((self.path / _SPEC).read_text("utf-8")))

    def examples(self) -> list[TrainingExample]:
        rows = feather.read_table(str(self.path / _EXAMPLES)).to_pylist()
        return [
            TrainingExample(
                tuple(row["prompt"]),
                tuple(row["answer"]),
                tuple(Step(step["depth"], tuple(step["options"]), step["target"]) for step in row["steps"]),
            )
            for row in rows
        ]

    def attempts(self) -> list[int]:
        """The numbers of all attempts so far, in order."""
        return sorted(int(one.name.removeprefix("attempt-")) for one in self.path.glob("attempt-*"))

    def new_attempt(self) -> int:
        """The number of the next attempt, from 1, for which a folder is made: no two processes get the same."""
        number = 1 + max(self.attempts(), default=0)
        while True:
            try:
                (self.path / f"attempt-{number}").mkdir()
            except FileExistsError:
                number += 1
            else:
                return number

    def attempt(self, number: int) -> Path:
        return self.path / f"attempt-{number}"

    def log(self, attempt: int, rank: int) -> Path:
        """What the rank prints to standard error."""
        return self.attempt(attempt) / f"rank-{rank}.log"

    def started(self, attempt: int) -> int:
        """How many ranks of the attempt have been started."""
        return len(list(self.attempt(attempt).glob("rank-*.log")))

    def ask_to_end(self, attempt: int) -> None:
        """Asks the attempt's ranks to write a checkpoint and to end."""
        (self.attempt(attempt) / _END).touch()

    def end_asked(self, attempt: int) -> bool:
        return (self.attempt(attempt) / _END).exists()

    def tell(self, attempt: int, step: "StepMetrics") -> None:
        """Adds a line to the attempt's progress."""
        with open(self.attempt(attempt) / _PROGRESS, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(step)) + "\n")

    def progress(self, attempt: int, after: int) -> list[dict[str, Any]]:
        """The lines of the attempt's progress beyond the first `after`; one that is still being written is left out."""
        try:
            text = (self.attempt(attempt) / _PROGRESS).read_text("utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.split("\n")[after:-1]]

    def done(self, attempt: int | None = None) -> tuple[Path, dict[str, Any]] | None:
        """The adapter of an attempt that has finished, or of this one, and what it says of the training; or None."""
        which = "*" if attempt is None else attempt
        for marker in sorted(self.path.glob(f"attempt-{which}/{_DONE}")):
            return marker.parent / ADAPTER, json.loads(marker.read_text("utf-8"))
        return None

    def note_too_large(self, attempt: int, world_size: int, tokens: int, *, checkpointing: bool) -> None:
        """Notes that the memory of so many ranks did not hold so many tokens at once."""
        facts = {"world_size": world_size, "tokens": tokens, "checkpointing": checkpointing}
        write_whole(self.attempt(attempt) / _TOO_LARGE, json.dumps(facts))

    def too_large(self, world_size: int) -> dict[str, Any] | None:
        """The least that did not fit, of what was tried by at least so many ranks; None if nothing was."""
        files = self.path.glob(f"attempt-*/{_TOO_LARGE}")
        found = [json.loads(file.read_text("utf-8")) for file in files]
        tried = [one for one in found if one["world_size"] >= world_size]
        return min(tried, key=lambda one: (one["tokens"], not one["checkpointing"]), default=None)

    def forget_too_large(self) -> None:
        """Forgets what did not fit: another call may find more memory."""
        for file in self.path.glob(f"attempt-*/{_TOO_LARGE}"):
            file.unlink(missing_ok=True)

    def has_noted(self, attempt: int) -> bool:
        """Whether the attempt ended for want of memory."""
        return (self.attempt(attempt) / _TOO_LARGE).is_file()

    def fail(self, attempt: int, rank: int, error: Exception) -> None:
        """Notes why a rank has failed."""
        known = error if isinstance(error, SparklabelError) else errors.ModelError(typed_line(error))
        found = {"class": type(known).__name__, "message": known.message, "hint": known.hint}
        with suppress(OSError):  # a disk that is full: the log may have it
            write_whole(self.attempt(attempt) / f"failed-{rank}.json", json.dumps(found))

    def failure(self, attempt: int) -> SparklabelError | None:
        """Why a rank of the attempt has failed, the first one if there are several; None if none has said."""
        for file in sorted(self.attempt(attempt).glob("failed-*.json")):
            found, rank = json.loads(file.read_text("utf-8")), file.stem.removeprefix("failed-")
            cls = getattr(errors, found["class"])
            if cls.retryable:
                cls = errors.TrainingInterrupted
            return cls(f"Rank {rank} failed: {found['message']}", hint=found["hint"])
        return None

    def remove(self) -> None:
        """Deletes the folder: its examples are texts of rows. Nobody finds it half deleted."""
        going = self.path.with_name(f".{self.path.name}-removed-{uuid.uuid4().hex}")
        with suppress(OSError):  # it is gone
            self.path.rename(going)
        shutil.rmtree(going, ignore_errors=True)

    def finish(self, attempt: int, facts: dict[str, Any]) -> None:
        """Says that the attempt's adapter is whole."""
        for file in (self.attempt(attempt) / ADAPTER).glob("*"):
            sync(file)
        write_whole(self.attempt(attempt) / _DONE, json.dumps(facts))


def _table(examples: Sequence[TrainingExample]) -> pa.Table:
    rows = [
        {
            "prompt": one.prompt,
            "answer": one.answer,
            "steps": [{"depth": s.depth, "options": s.options, "target": s.target} for s in one.steps],
        }
        for one in examples
    ]
    return pa.Table.from_pylist(rows, _SCHEMA)
