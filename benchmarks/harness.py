"""What every benchmark repeats: its arguments, its rows, its table, and the JSON file with the figures.

In: command-line arguments. Out: rows to measure on, a table on the terminal, and one JSON file that describes the
machine beside the figures. It measures nothing but time.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine, paragraph
from sparklabel.demo.data import movie_reviews, read_jsonl
from sparklabel.tasks import Task

_WIDTH = 110


def argument_parser(doc: str | None, *, rows: int, rounds: int | None = None) -> argparse.ArgumentParser:
    """A parser with what all benchmarks take: how many rows, how many rounds, and where the figures go.

    Args:
        doc: The module's docstring, shown by `--help` as it is written.
        rows: The default of `--rows`.
        rounds: The default of `--rounds`; None for a benchmark that measures once.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rows", type=int, default=rows, help=f"rows to measure on ({rows:,} by default)")
    if rounds is not None:
        parser.add_argument(
            "--rounds", type=int, default=rounds, help=f"rounds after the warm-up ({rounds} by default)"
        )
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    return parser


def add_texts(parser: argparse.ArgumentParser) -> None:
    """Adds `--data`, `--text` and `--label`, which `labeled_texts` reads."""
    parser.add_argument("--data", type=Path, help="a JSON lines file instead of the demo's movie reviews")
    parser.add_argument("--text", default="text", help="the field with the text")
    parser.add_argument("--label", default="label", help="the field with the label")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the transformers engine: `--dtype`, `--threads` and `--batch-tokens`."""
    import torch

    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, float16 or auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    parser.add_argument("--batch-tokens", type=int, help="tokens in a batch of ours")


def labeled_texts(arguments: argparse.Namespace) -> tuple[Task, pd.DataFrame]:
    """The task and the rows (columns text and gold, each text once) that `add_texts` arguments name."""
    task, frame = (
        read_jsonl(arguments.data, arguments.text, arguments.label) if arguments.data else movie_reviews()
    )
    return task, frame.drop_duplicates("text").reset_index(drop=True)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long `work` takes, and what it returns."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def figure_table(title: str, first: str, *columns: str) -> Table:
    """A table of figures: `first` heads the names, the other columns hold numbers. The machine is its caption."""
    table = Table(title=title, caption=paragraph(), caption_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def finish(arguments: argparse.Namespace, table: Table, figures: dict[str, Any]) -> None:
    """Prints the table, and writes the figures to `--out` beside a description of the machine."""
    Console(width=_WIDTH).print(table)
    if arguments.out:
        content = {"machine": machine(), "arguments": _plain(arguments), **figures}
        arguments.out.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _plain(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments that change a figure. A path is left out except for its last part, which names the data."""
    plain = {name: value for name, value in vars(arguments).items() if name != "out"}
    return {name: value.name if isinstance(value, Path) else value for name, value in plain.items()}
