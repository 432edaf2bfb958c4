"""The settings of a training run."""

import math
from dataclasses import dataclass, replace

_FEW_CHOICES = 10
_FEW_EPOCHS, _EPOCHS, _MOST_EPOCHS = 3, 4, 12
_STEPS = 400
"""Many choices want at least so many steps: with 650 answers to 77 labels, 10 epochs gave 65%, 4 gave 56%."""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How to fine-tune. benchmarks/LOG.md says what was measured with these defaults, and with others.

    None is chosen for the task: up to ten choices, the top third of the layers in 3 epochs; with more, or for written
    answers, the top two thirds in 4 epochs, up to 12 where these are fewer than 400 steps (`TrainingSummary.config`
    says what was chosen). The type that computes is the loaded model's (LanguageModel.load(dtype=...)); adapters are
    updated in float32 in any case. `target_modules` are those of these names that the architecture has.
    `learning_rate` is the peak: it rises over `warmup_ratio` of all steps, then falls to 0 as a cosine. `max_tokens`
    is the longest prompt to learn from: what attention keeps for its gradients grows with the square of it.
    `cache_bytes` bounds what is kept of the frozen layers; sequences beyond it are recomputed in each epoch.
    """

    top_layers: int | None = None
    target_modules: tuple[str, ...] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj",
    )  # fmt: skip
    rank: int = 16
    lora_alpha: float = 32.0
    epochs: int | None = None
    batch_size: int = 16
    learning_rate: float = 1e-3
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    seed: int = 0
    max_tokens: int = 1024
    cache_bytes: int = 2 * 2**30

    def chosen_for(self, depth: int, choices: int | None, examples: int) -> "TrainingConfig":
        """The recipe with nothing left open, for a model with `depth` layers, a task with so many choices (None: its
        answers are written), and so many examples."""
        few = choices is not None and choices <= _FEW_CHOICES
        top = self.top_layers or round(depth / 3 if few else depth * 2 / 3)
        wanted = math.ceil(_STEPS * self.batch_size / max(examples, 1))
        epochs = _FEW_EPOCHS if few else min(max(_EPOCHS, wanted), _MOST_EPOCHS)
        return replace(self, top_layers=min(max(top, 1), depth), epochs=self.epochs or epochs)
