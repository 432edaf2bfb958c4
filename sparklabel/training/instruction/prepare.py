"""Packs the rows of a mixture, once: Spark's tasks render, tokenize, order and pack them into files.

In: pinned sources, what their rows are good for, a base. Out: a `PackFolder` whose name is a hash of all that
determines it, and a `Preparation`, which says what is in it. Files are equal for any partitioning of the tables: a
row's place is a hash, and each file takes the rows of a range of places. Only counts reach the driver.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparklabel import registry
from sparklabel.errors import SetupError
from sparklabel.language_model import ModelTokenizer
from sparklabel.language_model.training.packs import (
    PackFile,
    PackManifest,
    Piece,
    write_packs,
)
from sparklabel.models.references import ResolvedModel
from sparklabel.progress import note, tell
from sparklabel.tasks import Task
from sparklabel.training.instruction.mixture import Draw, Mixture
from sparklabel.training.instruction.preparation import (
    MANY_COPIES,
    PackedSource,
    Preparation,
    write_preparation,
)
from sparklabel.training.instruction.rendering import LEARNED, Renderer, keyed_pool, use_of
from sparklabel.training.instruction.sources import PinnedSource, SourceRows, arrow_rows, gone_files
from sparklabel.udf import worker_errors

if TYPE_CHECKING:
    import pyarrow as pa

_PIECES_A_FILE = 8192
"""About. Best fit leaves under 1% of so many pieces unfilled."""
_TOKENS_A_FILE = 2**24
"""At most, about: a task holds them as Python's numbers."""
_ROWS_AT_ONCE = 256
_PIECES = "place LONG, source INT, prompt ARRAY<INT>, answer ARRAY<INT>, truncated BOOLEAN"
_FILES = "file STRING, pieces STRING, truncated STRING, too_long STRING"


def prepare(
    spark: SparkSession,
    mixture: Mixture,
    pinned: Sequence[PinnedSource],
    rows: Sequence[SourceRows],
    base: ResolvedModel,
    size: int,
    path: Path,
) -> Preparation:
    """Packs the training sources into a folder that all executors see under the same path.

    Args:
        spark: The session.
        mixture: How much each source counts.
        pinned: All sources, in the mixture's order.
        rows: What the rows of each are good for.
        base: Whose tokens are packed. Each host fetches it once.
        size: Of a pack, in tokens.
        path: The folder; what it has is written over.

    Raises:
        TableError: Files of a pinned version are gone.
        ModelError: An executor cannot fetch the base's tokenizer.
        SetupError: The driver does not see what the executors have written.
    """
    trained = [n for n, one in enumerate(pinned) if not one.source.held_out]
    draws = mixture.draws([rows[n].learned for n in trained])
    for n, draw in zip(trained, draws, strict=True):
        if draw.copies > MANY_COPIES:
            tell(f"each row of {pinned[n].name} is shown {draw.copies:.1f} times: lower its weight")
    path.mkdir(parents=True, exist_ok=True)
    frames = []
    for number, (n, draw) in enumerate(zip(trained, draws, strict=True)):
        one = pinned[n]
        pool = tuple(keyed_pool(one.task, rows[n].pool))
        render = _rendering(number, one.task, base, size, mixture, pool, draw)
        frames.append(one.rows.mapInArrow(render, _PIECES))
    expected = sum(draw.share * draw.copies * rows[n].learned for n, draw in zip(trained, draws, strict=True))
    files = max(1, round(expected / min(_PIECES_A_FILE, _TOKENS_A_FILE / size)))
    pieces = reduce(DataFrame.unionAll, frames).withColumn("part", F.expr(f"pmod(place, {files})"))
    with worker_errors(), gone_files(pinned):
        written = pieces.groupBy("part").applyInArrow(_packing(str(path), size), _FILES).collect()
    made = [PackFile(**json.loads(row["file"])) for row in written if row["file"]]
    _check_seen(path, made)
    counts = {name: _added(row[name] for row in written) for name in ("pieces", "truncated", "too_long")}
    sources = [_unpacked(one, found) for one, found in zip(pinned, rows, strict=True)]
    for number, (n, draw) in enumerate(zip(trained, draws, strict=True)):
        sources[n] = replace(
            sources[n], copies=draw.copies, pieces=counts["pieces"][number],
            truncated=counts["truncated"][number], too_long=counts["too_long"][number],
        )  # fmt: skip
    manifest = PackManifest(
        size, tuple(sorted(made, key=lambda file: file.name)),
        tuple(counts["pieces"][number] for number in range(len(trained))),
    )  # fmt: skip
    preparation = write_preparation(path, sources, manifest)
    note(
        f"packed {manifest.pieces:,} examples into {manifest.packs:,} packs of {size:,} tokens, {manifest.padding:.1%} "
        f"of them padding ({path})"
    )
    return preparation


def _unpacked(one: PinnedSource, rows: SourceRows) -> PackedSource:
    """What is known of a source before it is packed."""
    table = one.tables[0]
    return PackedSource(
        name=table.name, location=table.location, version=table.version, counts=dict(rows.counts),
        judging=[[list(row.inputs), row.answer] for row in rows.judging],
    )  # fmt: skip


def _check_seen(path: Path, files: Sequence[PackFile]) -> None:
    if missing := [file.name for file in files if not (path / file.name).is_file()]:
        raise SetupError(
            f"An executor has written {missing[0]} into {path}, and the driver does not see it there.",
            hint="checkpoints= must name a folder that the driver and all executors share under the same path, and may "
            "write.",
        )


def _added(texts: Iterable[str]) -> Counter[int]:
    """Counts of several tasks, by the number of the source."""
    return sum((Counter({int(n): c for n, c in json.loads(text).items()}) for text in texts), Counter())


def _rendering(
    number: int,
    task: Task,
    base: ResolvedModel,
    size: int,
    mixture: Mixture,
    pool: tuple[tuple[tuple[str, ...], str], ...],
    draw: Draw,
) -> Callable[[Iterator["pa.RecordBatch"]], Iterator["pa.RecordBatch"]]:
    """Renders the learned rows of a source, each as often as the draw and chance say."""

    def render(batches: Iterator["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        renderer: Renderer | None = None
        for batch in batches:
            renderer = renderer or Renderer(
                source=number, task=task, tokenizer=_tokenizer(base), size=size, few_shot=mixture.few_shot,
                shuffle_labels=mixture.shuffle_labels, seed=mixture.seed, pool=pool,
            )  # fmt: skip
            for begin in range(0, batch.num_rows, _ROWS_AT_ONCE):
                rows = [row for row, _ in arrow_rows(batch.slice(begin, _ROWS_AT_ONCE))]
                learned = [row for row in rows if use_of(task, row) == LEARNED]
                copies = ((row, copy) for row in learned for copy in range(renderer.copies(row, draw)))
                yield _arrow_pieces(number, list(renderer.pieces(copies)))

    return render


def _arrow_pieces(source: int, found: Sequence[tuple[int, Piece, bool] | None]) -> "pa.RecordBatch":
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(
        [
            pa.array([one[0] if one else 0 for one in found], pa.int64()),
            pa.array([source] * len(found), pa.int32()),
            pa.array([list(one[1].prompt) if one else None for one in found], pa.list_(pa.int32())),
            pa.array([list(one[1].answer) if one else None for one in found], pa.list_(pa.int32())),
            pa.array([bool(one and one[2]) for one in found], pa.bool_()),
        ],
        ["place", "source", "prompt", "answer", "truncated"],
    )


@lru_cache(2)
def _tokenizer(base: ResolvedModel) -> ModelTokenizer:
    """That of the base, loaded once a process."""
    return ModelTokenizer.load(registry.tokenizer_folder(base))


def _packing(path: str, size: int) -> Callable[["pa.Table"], "pa.Table"]:
    """Packs the pieces of one file in the order of their places, and writes it."""

    def pack(found: "pa.Table") -> "pa.Table":
        import pyarrow as pa

        part = found["part"][0].as_py()
        rows = [row for row in found.to_pylist() if row["prompt"] is not None]
        rows.sort(key=lambda row: (row["place"], row["source"], row["prompt"], row["answer"]))
        pieces = [Piece(tuple(row["prompt"]), tuple(row["answer"]), row["source"]) for row in rows]
        file = write_packs(Path(path) / f"part-{part:05}.arrow", pieces, size) if pieces else None
        none = [
            row["source"] for row in found.select(["source", "prompt"]).to_pylist() if row["prompt"] is None
        ]
        told: dict[str, Any] = {
            "file": json.dumps(asdict(file)) if file else None,
            "pieces": json.dumps(Counter(row["source"] for row in rows)),
            "truncated": json.dumps(Counter(row["source"] for row in rows if row["truncated"])),
            "too_long": json.dumps(Counter(none)),
        }
        return pa.Table.from_pylist([told], pa.schema([(name, pa.string()) for name in told]))

    return pack
