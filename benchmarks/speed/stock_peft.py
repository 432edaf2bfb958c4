"""What sparklabel's LoRA training gains over stock PEFT: `python -m benchmarks.speed.stock_peft [--out FILE]`.

The same rows, in the same batches, with the same adapters, loss and optimizer's settings, each for one epoch, in turn:

- ours: `train_lora`, with the single pass through the frozen layers counted, as it is over one epoch;
- ours, later epochs: the same without that pass;
- stock: PEFT's modules in transformers' model and attention, gradients by autograd, AdamW over its parameters;
- stock, our attention: the same with the attention that training uses here, so that only the adapters differ.

The figures are tokens/s without padding, after the first step, and the medians of the rounds' ratios.
"""

import statistics
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from rich.table import Table
from torch import nn

from benchmarks.harness import add_texts, argument_parser, figure_table, finish, seconds
from benchmarks.speed.training import sampled_prompts
from sparklabel.language_model import LanguageModel, StepMetrics, TrainingConfig, TrainingExample, train_lora
from sparklabel.language_model.partial_forward import decoder_depth, padded
from sparklabel.language_model.training.loss import AnswerLoss
from sparklabel.language_model.training.optimizer import cosine_schedule
from sparklabel.language_model.training.plan import TrainingPlan
from sparklabel.language_model.training.trainer import training_attention
from sparklabel.models.references import embedded_model

WAYS = ("ours", "ours, later epochs", "stock", "stock, our attention")


def our_rates(
    model: LanguageModel, examples: list[TrainingExample], config: TrainingConfig
) -> tuple[float, float]:
    """Tokens per second of the first epoch, with the frozen layers' pass, and of later ones; the first step is left
    out of both."""
    steps: list[StepMetrics] = []
    with tempfile.TemporaryDirectory() as folder:
        summary = train_lora(model, examples, config, Path(folder), steps.append)
    tokens, spent = sum(step.tokens for step in steps[1:]), steps[-1].seconds - steps[0].seconds
    frozen = summary.frozen_seconds * tokens / summary.tokens
    return tokens / (spent + frozen), tokens / spent


def stock_rate(
    model: LanguageModel, examples: list[TrainingExample], config: TrainingConfig, *, own_attention: bool
) -> float:
    """Tokens per second after the first step."""
    lengths = [len(one.prompt) + len(one.answer) for one in examples]
    plan, depth = TrainingPlan.of(lengths, config), decoder_depth(model.model)
    assert config.top_layers
    model.model.requires_grad_(False)
    modules = {name.rpartition(".")[2] for name, _ in model.model.named_modules()}
    adapters = LoraConfig(
        r=config.rank, lora_alpha=config.lora_alpha, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=[name for name in config.target_modules if name in modules],
        layers_to_transform=list(range(depth - config.top_layers, depth)),
    )  # fmt: skip
    wrapped: Any = get_peft_model(model.model, adapters)
    weights = [weight for weight in wrapped.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, config.learning_rate, weight_decay=config.weight_decay)
    schedule, loss = (
        cosine_schedule(optimizer, len(plan.steps), config.warmup_ratio),
        AnswerLoss(model, examples),
    )

    def step(batch: tuple[int, ...]) -> None:
        rows = [examples[i] for i in batch]
        ids = padded([row.prompt + row.answer for row in rows], model.device)[0]
        places = [
            number * ids.shape[1] + len(row.prompt) - 1 + one.depth
            for number, row in enumerate(rows) for one in row.steps
        ]  # fmt: skip
        hidden = model.hidden(ids).flatten(0, 1)[torch.tensor(places, device=model.device)]
        (loss(hidden, [one for row in rows for one in row.steps]) / len(batch)).backward()
        nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()

    with training_attention(model) if own_attention else nullcontext():
        spent = [seconds(lambda batch=planned.batch: step(batch))[0] for planned in plan.steps]
    wrapped.unload()
    return sum(lengths[i] for planned in plan.steps[1:] for i in planned.batch) / sum(spent[1:])


def measure(
    model: LanguageModel, examples: list[TrainingExample], choices: int, rounds: int
) -> dict[str, Any]:
    """The figures of `rounds` rounds, in each of which all ways take their turn."""
    config = TrainingConfig(epochs=1).chosen_for(decoder_depth(model.model), choices, len(examples))
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        found = (
            *our_rates(model, examples, config),
            stock_rate(model, examples, config, own_attention=False),
            stock_rate(model, examples, config, own_attention=True),
        )
        for way, rate in zip(WAYS, found, strict=True):
            rates[way].append(rate)
    over = {
        way: statistics.median(a / b for a, b in zip(rates[way], rates["stock"], strict=True)) for way in WAYS
    }
    return {"rows": len(examples), "top_layers": config.top_layers, "tokens_per_s": rates, "over_stock": over}


def shown(figures: dict[str, Any]) -> Table:
    """One line a way: the median of its rates, and of its ratios to stock PEFT."""
    table = figure_table("A LoRA training against stock PEFT", "", "tok/s", "over stock")
    for way, rates in figures["tokens_per_s"].items():
        table.add_row(way, f"{statistics.median(rates):,.0f}", f"{figures['over_stock'][way]:.2f}")
    return table


def main() -> None:
    parser = argument_parser(__doc__, rows=160, rounds=3)
    add_texts(parser)
    parser.add_argument("--model", type=Path, help="a model's folder; the embedded model by default")
    arguments = parser.parse_args()
    model = LanguageModel.load(arguments.model or embedded_model())
    examples, trie = sampled_prompts(model, arguments)
    figures = measure(model, examples, len(trie.paths), arguments.rounds)
    finish(arguments, shown(figures), {"stock_peft": figures})


if __name__ == "__main__":
    main()
