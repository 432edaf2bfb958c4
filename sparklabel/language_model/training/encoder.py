"""Trains a sentence encoder together with a head that reads its vectors.

In: an encoder, rows of texts, and a head that was fitted to the frozen vectors. Out: the same encoder with other
weights, and the head's. It knows no tasks.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparklabel.errors import ModelError
from sparklabel.language_model.batches import shuffled_batches
from sparklabel.language_model.sentence_encoder import SentenceEncoder

_WARMUP_RATIO = 0.1
_SORTED_BATCHES = 16
"""Batches of so many are sorted by length together: padding costs, and an order by length alone would teach it."""


@dataclass(frozen=True, slots=True)
class EncoderTrainingConfig:
    """How an encoder is trained, as measured in benchmarks/LOG.md. `epochs` None: 5, or as many more, up to 10, as make
    250 steps. `learning_rate` is the encoder's peak, `head_rate` the head's."""

    epochs: int | None = None
    batch_size: int = 32
    learning_rate: float = 2e-4
    head_rate: float = 1e-2
    weight_decay: float = 0.01
    seed: int = 0

    def epochs_for(self, rows: int) -> int:
        least, most = 5, 10
        return self.epochs or min(most, max(least, math.ceil(250 * self.batch_size / max(1, rows))))


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Features [N, F] are centered by `mean` [F], divided by `scale` [F], brought to length 1, and multiplied: logits
    are `features @ weights + bias`, [N, L]."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


def train_encoder(
    encoder: SentenceEncoder,
    rows: Sequence[Sequence[str]],
    head: LinearHead,
    targets: NDArray[np.int64],
    groups: Sequence[int],
    config: EncoderTrainingConfig = EncoderTrainingConfig(),
    *,
    compares: bool = False,
    on_step: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> LinearHead:
    """Trains the encoder's weights in place. The same seed, rows and number of threads give the same weights.

    Args:
        encoder: The encoder to train.
        rows: S texts in each of N rows.
        head: What was fitted to the features of the untrained encoder.
        targets: [N, G], the right choice in each of G groups.
        groups: The sizes of the groups of choices.
        config: Epochs, learning rates and the like.
        compares: Features are the two vectors of a row, their absolute difference and their product; otherwise its
            vectors one after the other.
        on_step: Called after each step with its number, how many there are, and the loss in nats for each row.

    Returns:
        The head, trained too.

    Raises:
        ModelError: The gradients are not finite.
    """
    import torch

    model = encoder.model.train()
    mean, scale = (torch.from_numpy(array) for array in (head.mean, head.scale))
    weights, bias = (
        torch.nn.Parameter(torch.from_numpy(array.copy())) for array in (head.weights, head.bias)
    )
    optimizer = torch.optim.AdamW(
        [
            {
                "params": list(model.parameters()),
                "lr": config.learning_rate,
                "weight_decay": config.weight_decay,
            },
            {"params": [weights, bias], "lr": config.head_rate, "weight_decay": 0.0},
        ]
    )
    ids = encoder.token_ids([text for row in rows for text in row])
    width = len(rows[0])
    lengths = [max(map(len, ids[start : start + width])) for start in range(0, len(ids), width)]
    epochs = config.epochs_for(len(rows))
    steps = epochs * math.ceil(len(rows) / config.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    answers = torch.from_numpy(targets)
    random, step = np.random.default_rng(config.seed), 0
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        for _ in range(epochs):
            for batch in shuffled_batches(random, lengths, config.batch_size, _SORTED_BATCHES):
                vectors = encoder.forward([ids[row * width + i] for row in batch for i in range(width)])
                features = _combined(vectors.unflatten(0, (len(batch), width)), compares)
                scaled = torch.nn.functional.normalize((features - mean) / scale, dim=1)
                logits = torch.split(scaled @ weights + bias, list(groups), dim=1)
                right = answers[torch.tensor(batch)]
                loss = sum(
                    torch.nn.functional.cross_entropy(part, right[:, group])
                    for group, part in enumerate(logits)
                )
                optimizer.zero_grad()
                loss.backward()
                _clip(model, step)
                optimizer.step()
                schedule.step()
                step += 1
                on_step(step, steps, loss.item())
    model.eval()
    return LinearHead(head.mean, head.scale, weights.detach().numpy(), bias.detach().numpy())


def _clip(model: Any, step: int) -> None:
    import torch

    try:
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
    except RuntimeError:
        raise ModelError(
            f"The encoder's training left the numbers at step {step + 1}: its gradients are infinite or NaN.",
            hint="Fit the classifier without it: leave tune_encoder= out.",
        ) from None


def _combined(vectors: Any, compares: bool) -> Any:
    """Vectors [N, S, D] to features [N, F]."""
    import torch

    if not compares:
        return vectors.flatten(1)
    left, right = vectors.unbind(1)
    return torch.cat([left, right, (left - right).abs(), left * right], dim=1)


def _rate(step: int, steps: int) -> float:
    """The share of the peak: up during the warm-up, then down to 0 in a line."""
    warm = max(1, round(_WARMUP_RATIO * steps))
    return (step + 1) / warm if step < warm else max(0.0, (steps - step) / max(1, steps - warm))
