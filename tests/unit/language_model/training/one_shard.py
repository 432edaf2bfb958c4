"""One rank of a sharded training of the tiny model, which is the same in every call."""

import json
import os
import resource
import signal
import threading
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import torch
import torch.distributed as dist

from sparklabel.errors import TrainingInterrupted
from sparklabel.language_model import LanguageModel, PackTraining, TrainingConfig
from sparklabel.language_model.training import sharded_model, sharded_optimizer
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.ranks import Ranks
from sparklabel.language_model.training.sharded_model import load_sharded, save_sharded
from sparklabel.language_model.training.sharded_trainer import MicrobatchTooLarge
from tests.unit.language_model.training.pack_folders import pack_folder

CONFIG = TrainingConfig(parameters="all", epochs=2, batch_size=6, learning_rate=1e-2).chosen_for_mixture(4, 1)
CPU = torch.device("cpu")
FULL, LOST = 12, 13


def meet(folder, name, rank, world_size):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting-{name}", rank=rank, world_size=world_size,
        timeout=timedelta(seconds=300),
    )  # fmt: skip
    return Ranks.of_process_group()


def train(
    model, folder, rank, world_size, *, name, last=0, tokens=128, checkpointing=None, full=None, dies=0, victim=None,
    slow=False, keeps_group=False, config=CONFIG,
):  # fmt: skip
    """Ends with a checkpoint after the step `last`. After the step `dies` all ranks are killed, or only `victim`. The
    rank `full` runs out of memory. If `slow`, a checkpoint takes two steps to write. Writes the losses of its steps."""
    ranks = meet(folder, name, rank, world_size)
    sharded_model.best_dtype = lambda device: torch.float32
    checkpoints, seen = Checkpoints(folder, len(list(folder.glob("seen-*"))) + 1, minutes=0), []
    if slow:
        own = sharded_optimizer.dcp.async_save
        sharded_optimizer.dcp.async_save = lambda *given, **options: _Late(own(*given, **options), seen)

    def on_step(step):
        seen.append(asdict(step))
        if step.step == last:
            checkpoints.ask_to_end()
        if step.step == dies and victim in (None, rank):
            os.kill(os.getpid(), signal.SIGKILL)

    if full == rank:
        torch.nn.functional.cross_entropy = out_of_memory(6)  # two measure a layer
    training = PackTraining(
        base=Path(model), packs=pack_folder(folder / f"packs-{rank}"), folder=folder / "out", on_step=on_step,
        config=replace(config, microbatch_tokens=tokens, activation_checkpointing=checkpointing),
        load=lambda: LanguageModel.load(Path(model), dtype="float32", device="cpu"), checkpoints=checkpoints,
        device=CPU,
    )  # fmt: skip
    try:
        if world_size == 1 and not keeps_group:  # as where no ranks were asked for
            dist.destroy_process_group()
            training.run()
        else:
            training.run(ranks)
    except TrainingInterrupted:
        if not last:
            os._exit(LOST)
    except MicrobatchTooLarge as large:
        os._exit(FULL if large.tokens == tokens else 1)
    if rank == 0:
        (folder / f"seen-{name}.json").write_text(json.dumps(seen))
    if dist.is_initialized():
        dist.destroy_process_group()


class _Late:
    """A future that is done two steps after it was given."""

    def __init__(self, future, seen):
        self._future, self._seen, self._begun = future, seen, len(seen)

    def done(self):
        return self._future.done() and len(self._seen) >= self._begun + 2

    def exception(self):
        return self._future.exception()


def out_of_memory(after):
    """A loss that takes too much memory from so many calls on."""
    calls, own = count(), torch.nn.functional.cross_entropy

    def loss(*given, **options):
        if next(calls) >= after:
            raise MemoryError("cannot allocate memory")
        return own(*given, **options)

    return loss


@contextmanager
def own_memory():
    """The bytes that this process has for itself, without files that are mapped, every few milliseconds."""
    used, is_over = [], threading.Event()

    def look():
        while not is_over.is_set():
            resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
            used.append((resident - shared) * resource.getpagesize())
            is_over.wait(0.002)

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield used
    finally:
        is_over.set()
        watch.join()


def there_and_back(model, folder, rank, world_size, *, name):
    """Reads a model into shards and writes it again; how much memory that took goes into a file."""
    ranks = meet(folder, name, rank, world_size)
    whole = sum(file.stat().st_size for file in Path(model).glob("*.safetensors"))
    import transformers.models.llama.modeling_llama  # noqa: F401  its memory is not the model's

    with own_memory() as used:
        loss = load_sharded(Path(model), CPU, dist.group.WORLD, checkpointing=False)
    peak = max(used) - used[0]
    held = sum(p.to_local().nbytes for p in loss.parameters())
    (folder / f"memory-{rank}.json").write_text(json.dumps({"whole": whole, "peak": peak, "held": held}))
    save_sharded(loss.model, Path(model), folder / "out", ranks.rank, dist.group.WORLD)
    if rank == 0:
        expected, found = (LanguageModel.load(Path(one), dtype="float32") for one in (model, folder / "out"))
        ids = torch.tensor([[5, 17, 200, 3, 9]])
        with torch.no_grad():
            assert torch.equal(expected.hidden(ids), found.hidden(ids))
    dist.destroy_process_group()
