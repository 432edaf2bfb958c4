"""The folder of a training that several processes share: what is trained, and what came of it.

In: a spec and examples, written once, by the driver. Out: the same, for ranks on any host that sees the folder; and the
adapter of the attempt that came to its end. JSON and Arrow, no pickle.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.feather as feather

from sparklabel.label_trie import Step
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.examples import TrainingExample

if TYPE_CHECKING:
    from sparklabel.language_model.training.trainer import StepMetrics

_SPEC, _EXAMPLES, _PROGRESS, _DONE = "spec.json", "examples.arrow", "progress.jsonl", "DONE.json"
_END = "END"
_STEP = pa.struct([("depth", pa.int32()), ("options", pa.list_(pa.int32())), ("target", pa.int32())])
_SCHEMA = pa.schema(
    [("prompt", pa.list_(pa.int32())), ("answer", pa.list_(pa.int32())), ("steps", pa.list_(_STEP))]
)


GONE = 75
"""The exit status of a rank that was asked to end, or whose leash or another rank is gone: its training can go on."""


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """All that a training depends on, but its examples.

    Attributes:
        base: The identity of the base, with the hash of its files.
        config: How it is trained, with a number in place of each None that the user left.
        choices: How many choices the task has; None if answers are written.
    """

    base: str
    config: TrainingConfig
    choices: int | None

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> "TrainingSpec":
        """What `asdict` gave, read back from JSON."""
        return cls(found["base"], TrainingConfig.from_dict(found["config"]), found["choices"])


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder, which may not be there yet."""

    path: Path

    @classmethod
    def of(cls, root: Path, spec: TrainingSpec, examples: Sequence[TrainingExample]) -> "RunFolder":
        """The folder in `root` for a training, whose name is a hash of all that it depends on: the same call finds what
        an earlier one left. It is written if it is not there."""
        content, table = json.dumps(asdict(spec), sort_keys=True), _table(examples)
        digest = hashlib.sha256(content.encode())
        for batch in table.to_batches():
            digest.update(batch.serialize())
        folder = cls(root / digest.hexdigest()[:32])
        if not folder.is_there:
            folder.path.mkdir(parents=True, exist_ok=True)
            feather.write_feather(table, str(folder.path / _EXAMPLES), compression="zstd")
            partial = folder.path / f".{_SPEC}"
            partial.write_text(content, "utf-8")
            partial.rename(folder.path / _SPEC)  # last: where it is, the examples are whole
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

    def done(self) -> tuple[Path, dict[str, Any]] | None:
        """The adapter of a finished attempt, and what it says of the training; None if none has finished."""
        for marker in sorted(self.path.glob(f"attempt-*/{_DONE}")):
            return marker.parent / "adapter", json.loads(marker.read_text("utf-8"))
        return None

    def finish(self, attempt: int, facts: dict[str, Any]) -> None:
        """Says that the attempt's adapter is whole."""
        partial = self.attempt(attempt) / f".{_DONE}"
        partial.write_text(json.dumps(facts), "utf-8")
        partial.rename(self.attempt(attempt) / _DONE)


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
