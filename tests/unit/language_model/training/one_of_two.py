"""One rank of a training of the tiny model, which is the same in every call."""

import json
import os
import signal
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from sparklabel.label_trie import label_trie
from sparklabel.language_model import LanguageModel, TrainingConfig, choice_examples, train_lora
from sparklabel.language_model.training import trainer
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.ranks import Ranks

CONFIG = TrainingConfig(top_layers=2, rank=4, epochs=3, batch_size=8, learning_rate=2e-2)


def examples_of(model):
    random = np.random.default_rng(0)
    trie = label_trie([model.tokenizer.encode(label) for label in ("cat", "dog")], ("cat", "dog"))
    texts = ["".join(random.choice(list("abcdefgh"), size=size)) for size in random.integers(2, 14, size=35)]
    return choice_examples([(tuple(model.tokenizer.encode(t)), i % 2) for i, t in enumerate(texts)], trie)


def within_little_memory(work, *, divisible):
    """As `runs_within_memory`, the first three times on a machine that has too little."""
    pretended.append(divisible)
    return len(pretended) > 3 and real(work, divisible=divisible)


pretended, real = [], trainer.runs_within_memory


def train(
    model_folder, folder, rank, world_size, *, last=0, dtype="float32", full=None, victim=None, blind=None
):
    """All ranks end after the step `last`, or only `victim` is killed then. The rank `full` runs out of memory three
    times at first, and `blind` sees no checkpoints."""
    torch.set_num_threads(1)
    if rank == full:
        trainer.runs_within_memory = within_little_memory
    seen = []

    def on_step(step):
        seen.append(asdict(step))
        if step.step == last and victim is None:
            os._exit(9)
        if step.step == last and victim == rank:
            os.kill(os.getpid(), signal.SIGKILL)

    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting-{world_size}-{last}", rank=rank, world_size=world_size,
        timeout=timedelta(seconds=60),
    )  # fmt: skip
    model = LanguageModel.load(Path(model_folder), dtype=dtype, device="cpu")
    checkpoints = Checkpoints(folder, attempt=1 if last else 2, minutes=0)
    if rank == blind:
        checkpoints.newest = lambda: None
    adapter = folder / f"adapter-{rank}"
    train_lora(model, examples_of(model), CONFIG, adapter, on_step, choices=2, ranks=Ranks.of_process_group(),
               checkpoints=checkpoints)  # fmt: skip
    (folder / f"seen-{rank}.json").write_text(json.dumps(seen))
    dist.destroy_process_group()
