"""How good the answers are, before and after fine-tuning.

    python -m benchmarks.quality --data DIR [--only banking77 sst2 ...] [--ways zero-shot lora classifier encoder auto]
        [--train 3000] [--rows 1000] [--out FILE.json]

DIR holds the files that the data sets' YAMLs name. For each set, by `--ways`: zero-shot (scored kinds with prior
correction too, classifications mixed with the likeness to their labels' names); fine-tuned on up to `--train` rows with
the product's own recipe, prompt and manifest, and the linear probe where there are classes; a classifier over the
shipped sentence encoder, and one that is trained with its encoder; what `method="auto"` chooses of these, by the
training rows alone. All on the same `--rows` test rows, which are never trained on. No Spark and no gate.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import argument_parser, figure_table, finish
from benchmarks.quality.data_set import NAMES
from benchmarks.quality.measured import Measured
from sparklabel.language_model import TrainingConfig

_WAYS = ("zero-shot", "lora", "classifier", "encoder", "auto")
_COLUMNS = (
    "answers", "test", "zero-shot", "prior-corrected", "mixed", "probe", "fine-tuned", "classifier", "encoder", "auto",
    "metric", "its figures",
)  # fmt: skip


def shown(results: dict[str, dict[str, Any]]) -> Table:
    """One line a set. Accuracy is the share of answers that say exactly what the right answer says."""
    table = figure_table("Accuracy, and the metric that is usually quoted", "set", *_COLUMNS)
    for name, found in results.items():
        ways = ("auto", "encoder", "classifier", "fine-tuned", "mixed", "zero-shot")
        last = next(found[way] for way in ways if way in found)
        accuracies = (found.get(way, {}).get("accuracy") for way in ("zero-shot", "prior-corrected", "mixed"))
        trained = (
            found.get(way, {}).get("accuracy") for way in ("fine-tuned", "classifier", "encoder", "auto")
        )
        own = {
            key: value
            for key, value in last.items()
            if "f1" in key or key in ("confidence_auroc", "ece", "mae")
        }
        table.add_row(
            name, str(found["train"]), str(found["test"]),
            *(_percent(share) for share in (*accuracies, found.get("probe"), *trained)),
            f"{found['metric']} {last[found['metric']]:.3f}",
            ", ".join(f"{key} {value:.3f}" for key, value in own.items()),
        )  # fmt: skip
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def main() -> None:
    arguments = _parser().parse_args()
    console = Console()
    results = {}
    with tempfile.TemporaryDirectory() as store:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store}/mlflow.db"
        for name in arguments.only:
            measured = Measured(name, arguments.data, arguments.train, arguments.rows)
            console.print(f"{name}: {len(measured.train):,} answers, {len(measured.test):,} test rows")
            results[name] = measured.run(TrainingConfig(epochs=arguments.epochs), arguments.ways)
            console.print(f"{name}: {results[name]}")
    finish(arguments, shown(results), {"results": results})


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser(__doc__, rows=1000)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sets' files")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these sets")
    parser.add_argument("--ways", nargs="+", choices=_WAYS, default=_WAYS, help="these ways (all)")
    parser.add_argument("--train", type=int, default=3000, help="answers to learn from, at most (3,000)")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's own")
    return parser


if __name__ == "__main__":
    main()
