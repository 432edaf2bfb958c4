"""Counts what a first pass leaves behind and makes the driver hold, from the protocol's own constants.

In: rows, slots, rates. Out: figures. Chunks and the sizes of files are decided by the pass's own code; only the clock
is simulated. Nobody else writes, no input occurs twice, and every chunk takes as long as its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sparklabel.labeling import executor
from sparklabel.labeling.chunks import BUCKETS, WRITE_RATE, Chunks
from sparklabel.labeling.state import lease
from sparklabel.table.history import NEWEST_COMMITS

_CHECKPOINT_EVERY = 10
"""Delta writes a checkpoint, with an entry for each live file, every so many commits (delta.checkpointInterval)."""
_FILE_ENTRY, _COMMIT_ENTRY, _TASK_RESULT = 1536, 2048, 4096
"""Bytes on the driver, assumed: of a scanned file's entry, of a commit in a history, of a task's result with its
metrics until the chunk's job has ended."""
_MAPS, _MANY_REDUCERS = 200, 2000
"""Partitions of the pending rows (spark.sql.shuffle.partitions). Spark keeps a byte for each pair of a map task and one
that reads from it, and a bit if these are more than 2,000."""
_CREATED, _LEASED, _CLEARED = 1, 1, 1
_COLUMNS = 2
"""Commits before the first MERGE: the columns, and the properties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A first pass over `rows` distinct inputs with so many task slots.

    Attributes:
        rate: Rows that a slot answers in a second.
        load_seconds: How long each slot loads the model in the first chunk.
        write_rate: Rows that one task writes in a second.
        merge_rate: Rows that the cluster merges in a second.
    """

    rows: int
    slots: int
    rate: float
    load_seconds: float = 60.0
    write_rate: float = WRITE_RATE
    merge_rate: float = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Staged:
    """What a pass leaves in staging before it clears it, and how many commits it made there in all."""

    files: int
    commits: int

    @classmethod
    def by(cls, chunks: Sequence[int], beats: int) -> "Staged":
        """By chunks of so many files, and so many heartbeats behind the lease's first row."""
        commits = _CREATED + _LEASED + len(chunks) + beats + _CLEARED
        return cls(_LEASED + sum(chunks) + beats, commits)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted. `lost_seconds` is what a kill can lose at most; `idle` the share of the slots' time in which
    they wait for the tasks that write; `checkpointed` counts the entries of all checkpoints of staging."""

    seconds: float
    chunks: int
    files: int
    staging_commits: int
    lease_commits: int
    table_commits: int
    checkpointed: int
    lists: int
    lost_seconds: float
    idle: float
    driver_bytes: int


def simulate(scenario: Scenario) -> Figures:
    """Runs the pass against its own clock."""
    run = _Run(scenario)
    for start, end in run.chunks:
        run.answer(round(scenario.rows * (end - start) / BUCKETS))
        run.merge_if_due()
    run.merge()
    return run.figures()


class _Run:
    """The state of a simulated pass."""

    def __init__(self, scenario: Scenario) -> None:
        self.now, self._idle, self._lost = 0.0, 0.0, 0.0
        self.chunks = Chunks(scenario.slots, scenario.rows, clock=lambda: self.now)
        self._scenario, self._files, self._unmerged, self._merges = scenario, list[int](), 0, 0
        self._next_merge = executor._MERGE_SECONDS

    def answer(self, inputs: int) -> None:
        one = self._scenario
        computing = inputs / (one.slots * one.rate) + (0.0 if self._files else one.load_seconds)
        files = min(self.chunks.files(inputs), one.slots)  # or each slot writes one
        writing = inputs / (files * one.write_rate)
        self._idle += writing * (1 - files / one.slots)
        self._lost = max(self._lost, computing + writing)
        self.now += computing + writing
        self._files.append(files)
        self._unmerged += inputs
        self.chunks.took(inputs, computing + writing)

    def merge_if_due(self) -> None:
        if self.now >= self._next_merge:
            self.merge()

    def merge(self) -> None:
        if self._unmerged:
            seconds = self._unmerged / self._scenario.merge_rate
            self.now += seconds
            self._unmerged, self._merges = 0, self._merges + 1
            self._next_merge = self.now + max(executor._MERGE_SECONDS, executor._MERGE_SHARE * seconds)

    def figures(self) -> Figures:
        slots, beats = self._scenario.slots, int(self.now / lease._BEAT_SECONDS)
        staged = Staged.by(self._files, beats)
        checkpoints = staged.commits // _CHECKPOINT_EVERY
        pairs = _MAPS * (slots if slots <= _MANY_REDUCERS else slots // 8)
        table_commits = _COLUMNS + self._merges
        return Figures(
            seconds=self.now,
            chunks=len(self._files),
            files=staged.files,
            staging_commits=staged.commits,
            lease_commits=_LEASED + beats,
            table_commits=table_commits,
            checkpointed=checkpoints * staged.files // 2,  # files come at about the same pace as commits
            lists=2 * (staged.commits + table_commits),  # a commit looks for others before and after
            lost_seconds=self._lost,
            idle=self._idle / self.now,
            driver_bytes=staged.files * _FILE_ENTRY
            + NEWEST_COMMITS * _COMMIT_ENTRY
            + slots * _TASK_RESULT
            + pairs,
        )
