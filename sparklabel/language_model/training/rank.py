"""What a rank runs, in a process without Spark and MLflow; `start_rank` is its program.

In: the run's folder, the base's folder, the number of the attempt, how often a checkpoint is written; in the
environment RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT. Out: a line of JSON on standard output at the end; and, from the
first rank, a line a step in the attempt's `progress.jsonl`, checkpoints, and the adapter.

Standard input is a leash: when it ends, whoever started this process is gone, and so is it.
"""

import json
import os
import platform
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from sparklabel.errors import SetupError, TrainingInterrupted
from sparklabel.language_model.model import LanguageModel
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.loop import StepMetrics
from sparklabel.language_model.training.pack_ranks import PackTraining, TooLarge, check_alike
from sparklabel.language_model.training.packs import PackFolder
from sparklabel.language_model.training.ranks import Ranks
from sparklabel.language_model.training.run_folder import ADAPTER, GONE, RunFolder
from sparklabel.language_model.training.sharded_trainer import MicrobatchTooLarge
from sparklabel.language_model.training.trainer import train_lora

_PATIENCE = timedelta(minutes=10)
"""A rank that does not come to add up for so long is lost. Its death is noticed at once, by its connection."""


def main(run: Path, base: Path, attempt: int, minutes: float) -> None:
    """Trains, and says what came of it."""
    threading.Thread(target=_end_with_the_leash, daemon=True).start()
    if threads := int(os.environ.get("SPARKLABEL_THREADS", "0")):
        torch.set_num_threads(threads)
    on_gpu = bool(os.environ.get("CUDA_VISIBLE_DEVICES"))
    if on_gpu and not torch.cuda.is_available():
        raise SetupError(
            f"Spark gave a rank on {platform.node()} a GPU, and torch finds none: it would train on the CPU.",
            hint="Look at the driver (nvidia-smi) and at torch's build there; or train on CPUs with use_gpu=False.",
        )
    folder, ranks = RunFolder(run), Ranks.meet("nccl" if on_gpu else "gloo", _PATIENCE)
    checkpoints = Checkpoints(run, attempt, minutes)

    def on_step(step: StepMetrics) -> None:
        if ranks.rank == 0:
            folder.tell(attempt, step)

    signal.signal(signal.SIGTERM, lambda *_: checkpoints.ask_to_end())
    spec, trained = folder.spec, folder.attempt(attempt) / ADAPTER
    if spec.packs:
        training = PackTraining(
            base=base, packs=PackFolder(Path(spec.packs)), config=spec.config, folder=trained, on_step=on_step,
            checkpoints=checkpoints, device=torch.device("cuda" if on_gpu else "cpu"),
            load=lambda: LanguageModel.load(base),
        )  # fmt: skip
        found = folder.too_large(ranks.world_size)
        tried = TooLarge(found["tokens"], found["checkpointing"]) if found else None
        ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", ranks.world_size))
        summary = training.run(ranks, ranks_here, tried)
    else:
        model = LanguageModel.load(base)
        check_alike(model, ranks)
        summary = train_lora(
            model, folder.examples(), spec.config, trained, on_step, choices=spec.choices, ranks=ranks,
            checkpoints=checkpoints,
        )  # fmt: skip
    facts = asdict(summary) | {"world_size": ranks.world_size}
    if ranks.rank == 0:
        folder.finish(attempt, facts)
    dist.destroy_process_group()
    result = {
        "rank": ranks.rank,
        "steps": summary.steps,
        "digest": summary.digest,
        "peak_bytes": _peak_bytes(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }
    print(json.dumps(result), flush=True)


def _end_with_the_leash() -> None:
    # Not sys.stdin: a thread that waits in it aborts the interpreter at its end.
    while os.read(0, 4096):
        pass
    os._exit(GONE)


def _peak_bytes() -> int:
    """The most memory that this rank has held: of its GPU if it has one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(arguments: Sequence[str]) -> None:
    """The process from its arguments to its end: RUN BASE ATTEMPT MINUTES."""
    folder, number = RunFolder(Path(arguments[0])), int(arguments[2])
    try:
        main(folder.path, Path(arguments[1]), number, float(arguments[3]))
    except MicrobatchTooLarge as large:
        world_size = int(os.environ.get("WORLD_SIZE", "1"))
        folder.note_too_large(number, world_size, large.tokens, checkpointing=large.checkpointing)
        print(large, file=sys.stderr, flush=True)
        os._exit(GONE)
    except TrainingInterrupted as lost:
        print(lost, file=sys.stderr, flush=True)
        os._exit(GONE)
    except Exception as error:  # noqa: BLE001 whatever it is, the driver raises it
        # Before the others notice that this rank is gone, and say no more than that.
        folder.fail(number, int(os.environ.get("RANK", "0")), error)
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
