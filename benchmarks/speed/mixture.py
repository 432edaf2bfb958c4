"""What preparing a mixture takes: `python -m benchmarks.speed.mixture [--sizes 10000 1000000] [--out FILE]`.

For each number of rows a process of its own makes a Delta table with so many, and packs it for the embedded model, with
prompts as `instruction_tune` renders them. Printed: rows and tokens a second and core, the share of padding, and the
peak memory of the driver's Python process, which must not grow with the rows.
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import argument_parser, figure_table, finish, seconds

SMALL, LARGE = 10_000, 1_000_000
_SLOTS = 2


def measured(rows: int, folder: Path) -> dict[str, Any]:
    """Figures of one table, in this process."""
    import sparklabel as sl
    from sparklabel import registry
    from sparklabel.training.instruction.prepare import prepare
    from sparklabel.training.instruction.sources import pin, read_sources

    spark = sl.spark_session({"spark.master": f"local[{_SLOTS}]"})
    table, base = folder / "table", registry.resolve(sl.DEFAULT)
    spark.sql(
        f"CREATE TABLE delta.`{table}` USING DELTA AS SELECT id, concat('The parcel ', id, ' came ', id % 97, "
        "' days late', repeat(', and nobody answers', CAST(id % 9 AS INT))) AS text, "
        f"if(id % 3 = 0, 'delivery', 'support') AS topic FROM range({rows})"
    )
    task = sl.classification("topic", "text", ["delivery", "support"], "What is the complaint about?")
    mixture = sl.mixture(
        [sl.source(str(table), task, key="id", answers="topic")], cap=rows, few_shot=(0, 4)
    )  # fmt: skip
    pinned = [pin(spark, one) for one in mixture.sources]
    reading, found = seconds(lambda: read_sources(spark, mixture, pinned))
    packing, packed = seconds(
        lambda: prepare(spark, mixture, pinned, found, base, 1024, folder / "packs")
    )  # fmt: skip
    manifest = packed.folder.manifest
    return {
        "rows": rows, "examples": manifest.pieces, "tokens": manifest.tokens, "padding": manifest.padding,
        "files": len(manifest.files), "reading_seconds": reading, "packing_seconds": packing,
        "driver_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measured(int(sys.argv[2]), Path(folder))), flush=True)
        return
    parser = argument_parser(__doc__, rows=0)
    parser.add_argument("--sizes", type=int, nargs="+", default=[SMALL, LARGE], help="rows of each table")
    arguments = parser.parse_args()
    found = []
    for rows in arguments.sizes:
        command = [sys.executable, "-m", "benchmarks.speed.mixture", "--one", str(rows)]
        lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
        found.append(json.loads(lines[-1]))
    table = figure_table(
        "preparing a mixture", "rows", "rows/s a core", "tokens/s a core", "padding", "files", "driver's peak"
    )
    for one in found:
        pace = one["packing_seconds"] * _SLOTS
        table.add_row(
            f"{one['rows']:,}", f"{one['examples'] / pace:,.0f}", f"{one['tokens'] / pace:,.0f}",
            f"{one['padding']:.2%}", str(one["files"]), f"{one['driver_peak_bytes'] / 2**20:,.0f} MiB",
        )  # fmt: skip
    finish(arguments, table, {"sizes": found})


if __name__ == "__main__":
    main()
