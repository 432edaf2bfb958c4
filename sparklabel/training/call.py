"""What a call of `finetune` asks for, before anything is read: checked, and written to JSON for the queue of runs.

In: the arguments of `finetune`. Out: a frozen record that means the same in another process, on another host.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sparklabel import registry
from sparklabel.arguments import check_arguments, check_flags, unknown_name
from sparklabel.errors import SetupError
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.models.references import DEFAULT
from sparklabel.models.shipped_encoder import ENCODER
from sparklabel.tasks import Task, check_task, task_from_dict
from sparklabel.training.processes import CHECKPOINT_MINUTES, check_processes

LORA, CLASSIFIER, AUTO = METHODS = ("lora", "classifier", "auto")
_OF_AN_INSTRUCTION_TUNING = ("parameters", "shard", "microbatch_tokens", "activation_checkpointing")
"""Fields of a TrainingConfig."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneCall:
    """The arguments of `finetune`, which says what they mean."""

    table: str
    task: Task
    key: str | Sequence[str] | None = None
    column: str | None = None
    into: str | None = None
    base: str = DEFAULT
    method: str = LORA
    encoder: str = ENCODER
    tune_encoder: bool = False
    hidden_states: bool | None = None
    registered_name: str | None = None
    config: TrainingConfig | None = None
    force: bool = False
    adopt_examples: bool = False
    num_processes: int = 1
    min_processes: int | None = None
    use_gpu: bool | None = None
    checkpoints: str | None = None
    checkpoint_minutes: float = CHECKPOINT_MINUTES
    experiment: str = registry.DEFAULT_EXPERIMENT

    def __post_init__(self) -> None:
        check_task(self.task)
        _check_types({field.name: getattr(self, field.name) for field in fields(self)})
        if not isinstance(self.config, TrainingConfig | None):
            raise SetupError(
                f"config={self.config!r} is not a TrainingConfig.",
                hint="For example config=sl.TrainingConfig(epochs=2).",
            )
        if self.config and (names := self.config.changed(*_OF_AN_INSTRUCTION_TUNING)):
            raise SetupError(
                f"config has {names[0]}={getattr(self.config, names[0])!r}, which is for instruction_tune: finetune "
                "trains adapters for one task.",
                hint="Leave it out, or train with sparklabel.instruction_tune.",
            )
        if self.method not in METHODS:
            raise unknown_name("finetune", "method", self.method, METHODS)
        check_processes(self.num_processes, self.min_processes, self.use_gpu, self.checkpoint_minutes)
        self._check_read()
        if self.registered_name is not None:
            registry.check_registered_name(self.registered_name)

    def _check_read(self) -> None:
        """Raises SetupError for an argument that the method does not read: who gave it expects that it does."""
        if self.tune_encoder and self.method != CLASSIFIER:
            tries = "tries that by itself" if self.method == AUTO else "has no encoder"
            raise SetupError(
                f"tune_encoder=True, and method={self.method!r} {tries}.",
                hint="Give method='classifier', or leave tune_encoder= out.",
            )
        if self.hidden_states is not None and (
            self.method == LORA or (self.hidden_states and self.tune_encoder)
        ):
            reads = (
                "method='lora' trains no classifier"
                if self.method == LORA
                else "tune_encoder=True reads none"
            )
            raise SetupError(
                f"hidden_states={self.hidden_states}, and {reads}.",
                hint="Give method='classifier' or 'auto' without tune_encoder=, or leave hidden_states= out.",
            )
        if self.method == LORA and self.encoder != ENCODER:
            raise SetupError(
                f"encoder={self.encoder!r}, and method='lora' has no encoder.",
                hint="Give method='classifier' or 'auto', or leave encoder= out.",
            )
        if self.method != CLASSIFIER:
            return
        if self.num_processes != 1:
            raise SetupError(
                f"num_processes={self.num_processes}, and a classifier is fitted in one process.",
                hint="Leave num_processes= out, or fine-tune with method='lora'.",
            )
        if given := [
            name for name in ("config", "checkpoints", "use_gpu") if getattr(self, name) is not None
        ]:
            raise SetupError(
                f"{given[0]}= says how LoRA trains, and method='classifier' does without.",
                hint="Leave it out, or fine-tune with method='lora'.",
            )

    @classmethod
    def checked(cls, **arguments: Any) -> "FinetuneCall":
        """The call with these arguments. Raises SetupError for those that `finetune` does not have, too."""
        check_arguments("finetune", [field.name for field in fields(cls)], arguments)
        for name in ("table", "task"):
            if name not in arguments:
                raise SetupError(f"finetune needs {name}=.")
        return cls(**arguments)

    def to_dict(self) -> dict[str, Any]:
        """The call as JSON has it; `from_dict` gives an equal one."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        key = self.key if isinstance(self.key, str | None) else list(self.key)
        config = asdict(self.config) if self.config else None
        return given | {"task": self.task.to_dict(), "key": key, "config": config}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "FinetuneCall":
        """What `to_dict` gave."""
        config = found["config"] and TrainingConfig.from_dict(found["config"])
        return cls(**dict(found) | {"task": task_from_dict(found["task"]), "config": config})


_TEXTS, _OPTIONAL_TEXTS = (
    ("table", "base", "method", "encoder", "experiment"),
    ("column", "into", "registered_name", "checkpoints"),
)
_EMPTY = "empty: it needs a name"


def _check_types(arguments: Mapping[str, Any]) -> None:
    """Raises SetupError for what JSON would not keep, or no function below would expect."""
    for name, given in arguments.items():
        is_text = isinstance(given, str) and bool(given.strip())
        if name in _TEXTS and not is_text:
            raise SetupError(f"{name}={given!r} is {_EMPTY if isinstance(given, str) else 'not a text'}.")
        if name in _OPTIONAL_TEXTS and given is not None and not is_text:
            raise SetupError(
                f"{name}={given!r} is {_EMPTY if isinstance(given, str) else 'neither a text nor None'}."
            )
        if name in ("force", "adopt_examples", "tune_encoder"):
            check_flags(SetupError, **{name: given})
        if name == "hidden_states" and given is not None:
            check_flags(SetupError, hidden_states=given)
        if name == "key" and not (given is None or is_text or _are_names(given)):
            raise SetupError(f"key={given!r} is neither a column's name nor a list of different ones.")


def _are_names(given: object) -> bool:
    if not isinstance(given, list | tuple) or not all(isinstance(c, str) and c.strip() for c in given):
        return False
    return 0 < len(given) == len({column.lower() for column in given})
