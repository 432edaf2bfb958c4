"""A model whose weights are divided among ranks (torch FSDP2): read into shards, and written out of them.

In: a model folder. Out: a module of which this rank holds a part, on its device; or a folder that transformers and vLLM
read. No rank ever holds the whole.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from sparklabel.errors import ModelError, SetupError
from sparklabel.language_model.attention import packed
from sparklabel.language_model.memory_limits import is_out_of_memory
from sparklabel.language_model.model import best_dtype, without_weights
from sparklabel.language_model.partial_forward import DecoderStack, decoder_depth
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.full_weights import copy_all_but_weights, stored_dtype
from sparklabel.language_model.training.lora import Adapter, with_adapters
from sparklabel.language_model.training.pack_loss import PackLoss
from sparklabel.language_model.training.ranks import is_loss
from sparklabel.redaction import first_line

_THREADS = 4
_SHARDED = "sharded"
"""The folder that the writer leaves beside the consolidated file."""


def check_torch() -> None:
    """Raises SetupError if this torch cannot write what ranks have trained together: told before the first step."""
    try:
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    except ImportError:
        options: set[str] = set()
    else:
        options = set(signature(HuggingFaceStorageWriter.__init__).parameters)
    if not {"save_distributed", "enable_consolidation"} <= options:
        raise SetupError(
            f"torch {torch.__version__} cannot save a model that is divided among processes.",
            hint="Update torch (2.9 can), or train in one process or adapters: num_processes=1, parameters='lora'.",
        )


def load_sharded(
    base: Path, device: torch.device, group: dist.ProcessGroup, *, checkpointing: bool
) -> PackLoss:
    """The loss of a model, divided among the ranks of torch's default process group: float32 master weights, which
    compute in the device's best type.

    Args:
        base: The model's folder, with safetensors weights.
        device: This rank's.
        group: Of all ranks, for reading, which may take long.
        checkpointing: Compute activations again for the gradients.

    Raises:
        ModelError: The files do not load, or the architecture's decoder layers are not found.
    """
    model = _to_be_filled(base, torch.float32, checkpointing=checkpointing)
    loss = PackLoss(model, trains_head=True)
    _divide(loss, DecoderStack.of(model), set(), device)
    _fill(model, base, device, group)
    return loss


def load_adapted(
    base: Path, device: torch.device, group: dist.ProcessGroup, config: TrainingConfig, *, checkpointing: bool
) -> tuple[PackLoss, Adapter]:
    """The same with frozen weights in the type that computes, and with adapters, of which each rank has all. `config`
    is complete. Raises ModelError, too, if peft is missing or there is nothing to adapt."""
    model = _to_be_filled(base, best_dtype(device.type), checkpointing=checkpointing)
    stack, layers = DecoderStack.of(model), config.adapted_layers(decoder_depth(model))
    wrapped = with_adapters(model, layers, config.target_modules, config.rank, config.lora_alpha)
    from peft.tuners.lora import LoraLayer

    own = {parameter for parameter in model.parameters() if parameter.requires_grad}
    loss = PackLoss(model, trains_head=False)
    _divide(loss, stack, own, device)
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.reset_lora_parameters("default", True)
    _fill(model, base, device, group)
    return loss, Adapter(wrapped)


def _to_be_filled(base: Path, dtype: torch.dtype, *, checkpointing: bool) -> Any:
    """The model of a folder without its weights, as it will compute."""
    model = without_weights(base, dtype)
    model.set_attn_implementation(packed.NAME)
    for module in model.modules():
        if isinstance(module, nn.Dropout):  # losses must not depend on how many ranks there are
            module.p = 0.0
    model.eval()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()  # transformers recomputes only then
    return model


def _divide(loss: PackLoss, stack: DecoderStack, whole: set[nn.Parameter], device: torch.device) -> None:
    """Divides all weights but `whole` among the ranks, with memory for this rank's part and nothing in it."""
    policy = MixedPrecisionPolicy(param_dtype=best_dtype(device.type), reduce_dtype=torch.float32)
    for layer in stack.layers:
        fully_shard(layer, mp_policy=policy, ignored_params=whole)
    fully_shard(loss, mp_policy=policy, ignored_params=whole)
    loss.to_empty(device=device)


def _fill(model: Any, base: Path, device: torch.device, group: dist.ProcessGroup) -> None:
    model.tie_weights()
    _make_buffers(model, device)
    weights = {name: weight for name, weight in named_weights(model).items() if "lora_" not in name}
    _read(base, weights, group)


def named_weights(model: nn.Module) -> dict[str, Tensor]:
    """Each weight once, by its name in the model's files: a tied output matrix has that of the input matrix."""
    return {name.replace(".base_layer", ""): weight.detach() for name, weight in model.named_parameters()}


def _make_buffers(model: nn.Module, device: torch.device) -> None:
    """Buffers that are not in the files, such as rotary frequencies: each module that has some is made anew."""
    for name, module in model.named_modules():
        own = dict(module.named_buffers(recurse=False))
        if not own:
            continue
        made: Any = None
        with suppress(TypeError, ValueError, AttributeError):
            made = type(module)(model.config)
        if made is None:
            raise ModelError(
                f"{type(model).__name__} cannot be read into shards: {name or 'it'} has buffers that its files lack."
            )
        for buffer, values in dict(made.named_buffers(recurse=False)).items():
            own[buffer].copy_(values.to(device))


def _read(base: Path, weights: dict[str, Tensor], group: dist.ProcessGroup) -> None:
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

    with checkpoint_errors(f"The weights in {base} cannot be read into shards"):
        dcp.load(dict(weights), storage_reader=HuggingFaceStorageReader(str(base)), process_group=group)


def cause(error: BaseException) -> BaseException:
    """What is wrong with a rank, of an error that torch raises on all of them."""
    failures = getattr(error, "failures", None)
    return next(iter(failures.values()))[0] if failures else error


@contextmanager
def checkpoint_errors(message: str, hint: str = "") -> Iterator[None]:
    """Raises ModelError for what goes wrong while torch reads or writes files: not for a rank that is lost, and not for
    want of memory, which are raised as they are."""
    try:
        yield
    except (dcp.api.CheckpointException, RuntimeError, OSError) as error:
        found = cause(error)
        if is_loss(found) or is_out_of_memory(found):
            raise found from error
        raise ModelError(f"{message}: {first_line(found)}", hint=hint) from None


def save_sharded(model: nn.Module, base: Path, folder: Path, rank: int, group: dist.ProcessGroup) -> None:
    """Writes the weights in the base's own type, with its tokenizer and configuration. Called on all ranks. Raises
    ModelError."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter

    dtype = stored_dtype(base)
    with checkpoint_errors(f"The model cannot be written into {folder}"):
        if rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            copy_all_but_weights(base, folder)
        dist.barrier(group)
        weights = {name: weight.to(dtype) for name, weight in named_weights(model).items()}
        writer = HuggingFaceStorageWriter(
            str(folder), save_distributed=True, enable_consolidation=True,
            fqn_to_index_mapping=dict.fromkeys(weights, 1), thread_count_consolidation=_THREADS,
        )  # fmt: skip
        dcp.save(weights, storage_writer=writer, process_group=group)
        dist.barrier(group)
        if rank == 0:
            shutil.rmtree(folder / _SHARDED, ignore_errors=True)
