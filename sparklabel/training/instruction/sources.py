"""The tables of a mixture, pinned, and what their rows are good for.

In: a session, a mixture. Out: `PinnedSource` records; how many rows teach and why others do not; the rows that judge,
and those that prompts show. Of the others only counts reach the driver.
"""

import heapq
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel.delta.errors import spark_errors
from sparklabel.delta.snapshot import UNVERSIONED, TableSnapshot, check_columns, open_snapshot
from sparklabel.errors import AnswersError, ColumnError, TableError
from sparklabel.evaluation.gold import gold_column
from sparklabel.progress import tell
from sparklabel.redaction import shortened
from sparklabel.splits import input_key
from sparklabel.sql import quote
from sparklabel.table.human_answers import HumanAnswer, one_vote_each
from sparklabel.table.key import key_columns
from sparklabel.table.row_states import STATE, labeled_rows
from sparklabel.table.task_table import open_task_table
from sparklabel.table.versions import missing_in
from sparklabel.tasks import Task
from sparklabel.tasks.json_values import json_text, plain
from sparklabel.texts import counted
from sparklabel.training.instruction.mixture import Mixture, Source
from sparklabel.training.instruction.rendering import (
    EMPTY,
    HELD_OUT,
    LEARNED,
    REFUSED,
    AnsweredRow,
    use_of,
)
from sparklabel.udf import worker_errors

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_REFUSED = 0.2
JUDGED, POOLED = 500, 64
"""Rows of a source that judge, and that prompts may show, at most."""
_KEPT = {HELD_OUT: JUDGED, LEARNED: POOLED, REFUSED: 1}
"""How many rows of a source reach the driver, by what they are good for; of those that are refused one to name."""
_READERS = 256
"""Tasks that read a source at most: each tells some rows."""
_CHOSEN = "held out, but chosen for review because the champion was uncertain"


@dataclass(frozen=True, slots=True)
class PinnedSource:
    """A source at one version of its tables, of which there are two if labels have one of their own. `rows`: `key` (a
    text), `inputs`, `answer` and `judges`: whether it was chosen by chance."""

    source: Source
    tables: tuple[TableSnapshot, ...]
    rows: DataFrame

    @property
    def task(self) -> Task:
        return self.source.task

    @property
    def name(self) -> str:
        """What the user calls its table, with the version."""
        return f"{self.tables[0].name} version {self.tables[0].version}"

    @property
    def pin(self) -> list[Any]:
        """What determines its rows. Those of a view are never the same for certain."""
        versions = [
            [table.id or table.name, table.version if table.version != UNVERSIONED else uuid.uuid4().hex]
            for table in self.tables
        ]
        return [versions, *self.source.answers_of]


@dataclass(frozen=True, slots=True)
class SourceRows:
    """What the rows of a source are good for. `counts`: by use (see `rendering`). `judging`: held-out answers, one each
    input. `pool`: learned rows for the prompts of others."""

    counts: Counter[str]
    judging: tuple[HumanAnswer, ...]
    pool: tuple[AnsweredRow, ...] = ()

    @property
    def learned(self) -> int:
        return self.counts[LEARNED]


def pin(spark: SparkSession, one: Source) -> PinnedSource:
    """Opens a source. Raises TableError, ColumnError or KeyColumnError."""
    task = one.task
    if one.answers is None:
        # A column that no pass wrote is then told as what it is for a mixture: no labels, but perhaps right answers.
        opened = open_task_table(spark, one.table, task, one.key, one.column, adopt=True, into=one.into)
        opened.check_labeled(
            task, "Label it first; or name a column of right answers with answers=, or the table that has the labels "
            "with into=.",
        )  # fmt: skip
        opened.check_one_label_each(spark)
        state, columns = F.col(STATE), opened.label_columns
        rows = labeled_rows(spark, opened, task).where(
            state.startswith("human") & (state != "human_input_changed")
        )
        keys, inputs = opened.keys, opened.input_columns(task)
        answer = F.col(quote(columns.value))
        judges = ~F.expr(f"{quote(columns.label)}.review_reason <=> 'queue'")
        tables = (opened.source, opened.target) if opened.has_separate_labels else (opened.target,)
        return PinnedSource(one, tables, _selected(rows, keys, inputs, answer, judges))
    snapshot = open_snapshot(spark, one.table)
    inputs = check_columns(snapshot, task.inputs, f"an input of the task {task.name!r}")
    (column,) = check_columns(snapshot, [one.answers], f"what holds the right answers to {task.name!r}")
    frame = snapshot.read(spark)
    try:
        gold_column(spark, frame, task, column)
    except ColumnError as error:
        raise ColumnError(f"The source {snapshot.name}: {error.message}", hint=error.hint) from None
    keys = key_columns(snapshot, one.key) if one.key else inputs
    answer = F.col(quote(column)).cast(task.value_type)
    if not task.answer_mode.accepts(None):
        frame = frame.where(answer.isNotNull())
    return PinnedSource(one, (snapshot,), _selected(frame, keys, inputs, answer, F.lit(True)))


def _selected(
    frame: DataFrame, keys: Sequence[str], inputs: Sequence[str], answer: Column, judges: Column
) -> DataFrame:
    return frame.select(
        F.to_json(F.struct(*(F.col(quote(key)) for key in keys))).alias("key"),
        F.array(*(F.col(quote(name)).cast("string") for name in inputs)).alias("inputs"),
        answer.alias("answer"),
        judges.alias("judges"),
    )


def arrow_rows(batch: "pa.RecordBatch") -> Iterator[tuple[AnsweredRow, bool]]:
    """The rows of a batch of `PinnedSource.rows`, each with whether it may judge."""
    for row in batch.to_pylist():
        yield AnsweredRow(row["key"], tuple(row["inputs"]), plain(row["answer"])), row["judges"]


def read_sources(spark: SparkSession, mixture: Mixture, pinned: Sequence[PinnedSource]) -> list[SourceRows]:
    """Reads all sources once.

    Raises:
        AnswersError: A source has no answers, or too many that its task does not take; or no source teaches.
        TableError: Files of a pinned version are gone.
    """
    kinds = "source INT, kind STRING, count LONG, place BINARY, row STRING"
    frames = [
        one.rows.coalesce(_READERS).mapInArrow(_sorting(number, one.task, mixture.seed), kinds)
        for number, one in enumerate(pinned)
    ]
    rows = reduce(DataFrame.unionAll, frames)
    kept = F.when(F.col("row").isNotNull(), F.struct("place", "row"))
    with worker_errors(), gone_files(pinned):
        counted = rows.groupBy("source", "kind").agg(
            F.sum("count").alias("count"),
            F.slice(F.array_sort(F.collect_list(kept)), 1, max(_KEPT.values())).alias("rows"),
        ).collect()  # fmt: skip
    found = []
    for number, one in enumerate(pinned):
        own = [row for row in counted if row["source"] == number]
        told = {row["kind"]: [_row(json.loads(kept["row"])) for kept in row["rows"]] for row in own}
        counts = Counter({row["kind"]: row["count"] for row in own if row["count"]})
        rows_of = SourceRows(counts, _judging(told.get(HELD_OUT, [])), tuple(told.get(LEARNED, [])[:POOLED]))
        _check(one, rows_of, told.get(REFUSED, []))
        found.append(rows_of)
    _tell_shared(pinned)
    return found


def _tell_shared(pinned: Sequence[PinnedSource]) -> None:
    """Says which tasks have rows in several of their tables: each table shows them."""
    of_task: dict[str, list[DataFrame]] = {}
    for one in pinned:
        inputs = one.rows.select(F.xxhash64(F.to_json("inputs")).alias("input")).distinct()
        of_task.setdefault(one.task.name, []).append(inputs)
    for name, frames in of_task.items():
        if len(frames) > 1:
            with gone_files(pinned):
                each = reduce(DataFrame.unionAll, frames).groupBy("input").count()
                shared = each.where("count > 1").count()
            if shared:
                what = counted(shared, f"input of the task {name!r} is", f"inputs of the task {name!r} are")
                tell(f"{what} in several of its tables, each of which counts")


def _sorting(
    number: int, task: Task, seed: int
) -> Callable[[Iterator["pa.RecordBatch"]], Iterator["pa.RecordBatch"]]:
    """Counts a partition's rows by what they are good for, and keeps the first by a hash of those that are needed."""

    def sort(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        counts: Counter[str] = Counter()
        kept: dict[str, list[tuple[bytes, str]]] = {use: [] for use in _KEPT}
        for batch in batches:
            for row, judges in arrow_rows(batch):
                use = use_of(task, row)
                counts[_CHOSEN if use == HELD_OUT and not judges else use] += 1
                if use in _KEPT and (use != HELD_OUT or judges):
                    text = f"{seed}\0{input_key(row.inputs)}\0{row.key}"
                    place = sha256(text.encode("utf-8", "surrogatepass")).digest()
                    kept[use].append((place, json_text(list(row))))
                    if len(kept[use]) > 4 * _KEPT[use]:
                        kept[use] = heapq.nsmallest(_KEPT[use], kept[use])
        rows: list[tuple[Any, ...]] = [(number, use, n, None, None) for use, n in counts.items()]
        rows += [(number, use, 0, *one) for use in kept for one in heapq.nsmallest(_KEPT[use], kept[use])]
        names = ("source", "kind", "count", "place", "row")
        types = (pa.int32(), pa.string(), pa.int64(), pa.binary(), pa.string())
        columns = zip(*rows, strict=True) if rows else [[]] * len(names)
        yield pa.RecordBatch.from_arrays(
            [pa.array(list(column), kind) for column, kind in zip(columns, types, strict=True)], list(names)
        )

    return sort


def _row(found: Sequence[Any]) -> AnsweredRow:
    key, inputs, answer = found
    return AnsweredRow(key, tuple(inputs), answer)


def _judging(rows: Sequence[AnsweredRow]) -> tuple[HumanAnswer, ...]:
    """One answer each input."""
    return one_vote_each([HumanAnswer(row.inputs, row.answer, None) for row in rows])[:JUDGED]


def _check(one: PinnedSource, rows: SourceRows, refused: Sequence[AnsweredRow]) -> None:
    counts = rows.counts
    answers = sum(counts.values()) - counts[EMPTY]
    if not answers:
        what = (
            f"in its column {one.source.answers!r}"
            if one.source.answers
            else f"of people to {one.task.name!r}"
        )
        raise AnswersError(
            f"The source {one.name} has no answers {what}.", hint="Leave it out of the mixture."
        )
    if counts[REFUSED] > _MOST_REFUSED * answers:
        raise AnswersError(
            f"The source {one.name} has {counts[REFUSED]:,} of {answers:,} answers that the task {one.task.name!r} "
            f"does not take, such as {shortened(repr(refused[0].answer), 80)}.",
            hint="Are its labels those of the table? At most a fifth of the answers may be others.",
        )
    if not one.source.held_out and not rows.learned:
        raise AnswersError(
            f"The source {one.name} has {answers:,} answers, and all of them are held out.",
            hint="A fixed fifth of the inputs is held out: answer more rows, or give it with held_out=True.",
        )


@contextmanager
def gone_files(pinned: Sequence[PinnedSource]) -> Iterator[None]:
    """Raises TableError where a VACUUM deleted files of a version that is read."""
    try:
        yield
    except spark_errors() as error:
        if not missing_in(error):
            raise
        names = ", ".join(
            one.name
            for one in pinned
            if any(t.location and t.location.removeprefix("file:") in str(error) for t in one.tables)
        )
        raise TableError(
            f"Files are gone that the mixture reads of {names or 'a table'}: VACUUM deleted them, or something else "
            "did.",
            hint="Call again: the newest version is read then.",
        ) from None
