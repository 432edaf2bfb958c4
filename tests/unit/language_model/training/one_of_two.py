"""One rank of a training of the tiny model: `one_of_two.py MODEL FOLDER RANK WORLD_SIZE [STEPS]`. It ends as if killed
after STEPS steps. What it trains is the same in every call."""

import json
import os
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from sparklabel.label_trie import label_trie
from sparklabel.language_model import LanguageModel, TrainingConfig, choice_examples, train_lora
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.ranks import Ranks

CONFIG = TrainingConfig(top_layers=2, rank=4, epochs=3, batch_size=8, learning_rate=2e-2)


def examples_of(model):
    random = np.random.default_rng(0)
    trie = label_trie([model.tokenizer.encode(label) for label in ("cat", "dog")], ("cat", "dog"))
    texts = ["".join(random.choice(list("abcdefgh"), size=size)) for size in random.integers(2, 14, size=35)]
    return choice_examples([(tuple(model.tokenizer.encode(t)), i % 2) for i, t in enumerate(texts)], trie)


def main(model_folder, folder, rank, world_size, last=0):
    torch.set_num_threads(1)
    seen = []

    def on_step(step):
        seen.append(asdict(step))
        if step.step == last:
            os._exit(9)

    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting-{world_size}-{last}", rank=rank, world_size=world_size,
        timeout=timedelta(seconds=60),
    )  # fmt: skip
    model = LanguageModel.load(Path(model_folder), dtype="float32", device="cpu")
    checkpoints = Checkpoints(folder, attempt=1 if last else 2, minutes=0)
    adapter = folder / f"adapter-{rank}"
    train_lora(model, examples_of(model), CONFIG, adapter, on_step, choices=2, ranks=Ranks.of_process_group(),
               checkpoints=checkpoints)  # fmt: skip
    (folder / f"seen-{rank}.json").write_text(json.dumps(seen))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
