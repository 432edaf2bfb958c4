"""What several ranks gain, and what they cost: `python -m benchmarks.speed.ranks [--out FILE]`.

The same training by one rank and by two, in turn, each a process of one thread: tokens/s without padding, after the
first step; the figure is the median of the rounds' ratios. Beside it: how long the ranks need to add up a gradient of
the adapter's size, as a share of a step of theirs; and, in a barrier stage of a local Spark session, the seconds from
the call to the first step, less those in which this process loads the base.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.harness import add_texts, argument_parser, figure_table, finish, seconds
from benchmarks.speed.training import sampled_prompts
from sparklabel import registry, spark_session
from sparklabel.language_model import LanguageModel, TrainingConfig, TrainingExample
from sparklabel.language_model.training.run_folder import RunFolder, TrainingSpec
from sparklabel.models.references import DEFAULT, ResolvedModel
from sparklabel.training.launcher import run_ranks

_ADDITIONS = 50
ADD_UP = """
import sys, time
from datetime import timedelta
import torch, torch.distributed as dist
dist.init_process_group("gloo", timeout=timedelta(minutes=5))
torch.set_num_threads(1)
values = torch.ones(int(sys.argv[1]))
dist.all_reduce(values)
start = time.perf_counter()
for _ in range(int(sys.argv[2])):
    dist.all_reduce(values)
print((time.perf_counter() - start) / int(sys.argv[2]), flush=True)
dist.destroy_process_group()
"""


def started(command: list[str], ranks: int) -> list["subprocess.Popen[bytes]"]:
    """A process a rank, which find each other on this machine. Their standard input is the leash."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    return [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | {"RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1",
                              "MASTER_PORT": port, "SPARKLABEL_THREADS": "1", "OMP_NUM_THREADS": "1",
                              "CUDA_VISIBLE_DEVICES": "", "GLOO_SOCKET_IFNAME": "lo"},
        )
        for rank in range(ranks)
    ]  # fmt: skip


def ended(processes: list["subprocess.Popen[bytes]"]) -> list[bytes]:
    """What each rank prints. Raises SystemExit if one fails."""
    # Not communicate(): it would close the leash at once.
    said = [process.stdout.read() for process in processes if process.stdout]
    if any(process.wait() for process in processes):
        raise SystemExit("A rank failed; its error is above.")
    return said


def rate(run: RunFolder, base: Path, ranks: int) -> tuple[float, float, int]:
    """Tokens per second after the first step, the seconds of a step, and the number of steps."""
    attempt = run.new_attempt()
    program = "sparklabel.language_model.training.start_rank"
    ended(started([sys.executable, "-m", program, str(run.path), str(base), str(attempt), "1000"], ranks))
    first, *rest = run.progress(attempt, 0)
    spent = rest[-1]["seconds"] - first["seconds"]
    return sum(step["tokens"] for step in rest) / spent, spent / len(rest), len(rest) + 1


def adding_up(parameters: int) -> float:
    """Seconds that two ranks need to add up one gradient."""
    said = ended(started([sys.executable, "-c", ADD_UP, str(parameters), str(_ADDITIONS)], 2))
    return max(map(float, said))


def until_the_first_step(base: ResolvedModel, run: RunFolder) -> float:
    """Seconds from the call, in a session that is up and has run a stage of ranks before."""
    spark = spark_session({"spark.master": "local[2]"})
    spark.range(2).mapInArrow(lambda batches: batches, "id LONG").collect()
    attempt, began = run.new_attempt(), time.monotonic()
    training = threading.Thread(target=run_ranks, args=(spark, run, base, attempt, 2), daemon=True)
    training.start()
    while not run.progress(attempt, 0):
        if not training.is_alive():
            raise SystemExit("The ranks failed before their first step.")
        time.sleep(0.02)
    found = time.monotonic() - began
    training.join(timedelta(minutes=10).total_seconds())
    spark.stop()
    return found


def measure(
    base: ResolvedModel, examples: list[TrainingExample], choices: int, rounds: int
) -> dict[str, Any]:
    """Figures of `rounds` rounds, each of them one rank, then two."""
    folder = registry.fetch(base).base
    loading, model = seconds(lambda: LanguageModel.load(folder))
    del model
    config = TrainingConfig(epochs=1)
    with tempfile.TemporaryDirectory() as root:
        run = RunFolder.of(Path(root), TrainingSpec(base.identity, config, choices), examples)
        first = RunFolder.of(
            Path(root), TrainingSpec(base.identity, replace(config, seed=1), choices), examples[:32]
        )
        pairs = [(rate(run, folder, 1), rate(run, folder, 2)) for _ in range(rounds)]
        done = run.done()
        assert done
        parameters = json.loads((done[0].parent / "DONE.json").read_text("utf-8"))["parameters"]
        added, start_up = adding_up(parameters), until_the_first_step(base, first)
    step = statistics.median(two[1] for _, two in pairs)
    return {
        "rows": len(examples), "steps": pairs[0][0][2], "parameters": parameters,
        "one_rank_tokens_per_s": [one[0] for one, _ in pairs], "two_ranks_tokens_per_s": [two[0] for _, two in pairs],
        "ratio": statistics.median(two[0] / one[0] for one, two in pairs),
        "adding_up_share": added / step, "first_step_seconds": start_up, "base_load_seconds": loading,
    }  # fmt: skip


def shown(figures: dict[str, Any]) -> Table:
    """One line a round, then the ratio, and what ranks cost."""
    table = figure_table("Two ranks of one thread against one", "", "1 rank tok/s", "2 ranks tok/s", "ratio")
    for number, (one, two) in enumerate(
        zip(figures["one_rank_tokens_per_s"], figures["two_ranks_tokens_per_s"], strict=True), 1
    ):
        table.add_row(f"round {number}", f"{one:,.0f}", f"{two:,.0f}", f"{two / one:.2f}")
    table.add_row("median", "", "", f"{figures['ratio']:.2f}", style="bold")
    table.add_row("adding up, share of a step", "", f"{figures['adding_up_share']:.1%}", "")
    beyond = figures["first_step_seconds"] - figures["base_load_seconds"]
    table.add_row("call to first step, beyond the base's load", "", f"{beyond:.1f} s", "")
    return table


def main() -> None:
    parser = argument_parser(__doc__, rows=160, rounds=3)
    add_texts(parser)
    arguments = parser.parse_args()
    base = registry.resolve(DEFAULT)
    model = LanguageModel.load(registry.fetch(base).base)
    examples, trie = sampled_prompts(model, arguments)
    del model
    finish(
        arguments,
        shown(figures := measure(base, examples, len(trie.paths), arguments.rounds)),
        {"ranks": figures},
    )


if __name__ == "__main__":
    main()
