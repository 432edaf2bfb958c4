"""How close fine-tuning comes to what the hardware gives: `python -m benchmarks.speed.training [--out FILE]`.

Roofline: a bare forward and backward pass through the same layers of the same model, frozen, with the same attention,
in full packed batches of 16 x 64 tokens. Ours: `train_lora` on real rows, counting tokens without padding, with
everything that a step includes (adapters, loss, optimizer, padding, batching). Both are measured in turn, so that a
shared machine slows both; the figure is the median ratio. The single pass of the frozen layers is reported separately.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from benchmarks.harness import add_texts, argument_parser, figure_table, finish, labeled_texts
from sparklabel.label_trie import LabelTrie, label_trie
from sparklabel.language_model import LanguageModel, TrainingExample, choice_examples
from sparklabel.language_model.partial_forward import DecoderStack, decoder_depth
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.loop import StepMetrics, TrainingSummary
from sparklabel.language_model.training.trainer import train_lora, training_attention
from sparklabel.models.references import embedded_model

PACKED_ROWS, PACKED_TOKENS = 16, 64


def prompts(
    model: LanguageModel, texts: Sequence[str], labels: Sequence[str]
) -> tuple[list[TrainingExample], LabelTrie]:
    """Bare prompts, `Text: <row>` and `Label:`, as training takes them, and the trie of their labels."""
    tokenizer = model.tokenizer
    names = sorted(set(labels))
    trie = label_trie([tokenizer.encode(" " + name.replace("_", " ")) for name in names], names)
    before, after = tokenizer.encode("Text:"), tokenizer.encode("\nLabel:")
    rows = tokenizer.encode_rows([" " + text for text in texts])
    asked = [((*before, *row, *after), names.index(label)) for row, label in zip(rows, labels, strict=True)]
    return choice_examples(asked, trie), trie


def sampled_prompts(
    model: LanguageModel, arguments: argparse.Namespace
) -> tuple[list[TrainingExample], LabelTrie]:
    """`prompts` of `--rows` random rows of those that the arguments of `add_texts` name."""
    frame = labeled_texts(arguments)[1].sample(frac=1, random_state=0)
    examples, trie = prompts(model, frame["text"].tolist(), frame["gold"].tolist())
    return examples[: arguments.rows], trie


def bare_rate(model: LanguageModel, first: int, repeats: int) -> float:
    """Tokens per second, forward and backward, through the frozen layers from number `first` on."""
    half = DecoderStack.of(model.model).above(first, narrow=False)
    width = model.model.get_input_embeddings().weight.shape[1]
    states = torch.randn(PACKED_ROWS, PACKED_TOKENS, width, dtype=model.model.dtype, device=model.device)
    states.requires_grad_()
    places = torch.arange(PACKED_ROWS * PACKED_TOKENS, device=model.device)
    seconds = 0.0
    with training_attention(model):
        for repeat in range(repeats + 1):  # the first warms up
            start = _now(model)
            made = half(states, places)
            made.backward(torch.ones_like(made))
            seconds += (_now(model) - start) * (repeat > 0)
    return repeats * PACKED_ROWS * PACKED_TOKENS / seconds


def our_rate(
    model: LanguageModel, examples: list[TrainingExample], config: TrainingConfig
) -> tuple[float, TrainingSummary]:
    """Tokens per second, padding not counted, over all steps but the first, which warms up."""
    steps: list[StepMetrics] = []
    with tempfile.TemporaryDirectory() as folder:
        summary = train_lora(model, examples, config, Path(folder), steps.append)
    return sum(s.tokens for s in steps[1:]) / (steps[-1].seconds - steps[0].seconds), summary


def _now(model: LanguageModel) -> float:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.perf_counter()


def measure(
    model: LanguageModel, examples: list[TrainingExample], trie: LabelTrie, rounds: int
) -> dict[str, Any]:
    """Figures of `rounds` rounds, each of them bare, ours, bare."""
    depth = decoder_depth(model.model)
    config = TrainingConfig(epochs=1).chosen_for(depth, len(trie.paths), len(examples))
    first = depth - (config.top_layers or depth)
    model.model.requires_grad_(False)
    bare, ours, ratios, summary = [], [], [], None
    for _ in range(rounds):
        before = bare_rate(model, first, 4)
        rate, summary = our_rate(model, examples, config)
        after = bare_rate(model, first, 4)
        bare.append(2 / (1 / before + 1 / after))
        ours.append(rate)
        ratios.append(rate / bare[-1])
    assert summary is not None
    return {
        "rows": len(examples),
        "tokens": summary.tokens,
        "layers": f"{first}-{depth - 1}",
        "roofline_tokens_per_s": bare,
        "ours_tokens_per_s": ours,
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "frozen_tokens_per_s": summary.tokens / summary.frozen_seconds,
    }


def shown(figures: dict[str, Any]) -> Table:
    """One line a round, then the median."""
    columns = ("roofline tok/s", "ours tok/s", "ratio")
    table = figure_table("Fine-tuning against its roofline", "round", *columns)
    rates = (figures[key] for key in ("roofline_tokens_per_s", "ours_tokens_per_s", "ratios"))
    for number, (roofline, ours, ratio) in enumerate(zip(*rates, strict=True), 1):
        table.add_row(str(number), f"{roofline:,.0f}", f"{ours:,.0f}", f"{ratio:.2f}")
    table.add_row("median", "", "", f"{figures['ratio']:.2f}", style="bold")
    return table


def main() -> None:
    parser = argument_parser(__doc__, rows=320, rounds=3)
    add_texts(parser)
    parser.add_argument("--model", type=Path, help="a model's folder; the embedded model by default")
    arguments = parser.parse_args()
    model = LanguageModel.load(arguments.model or embedded_model())
    figures = measure(model, *sampled_prompts(model, arguments), arguments.rounds)
    finish(arguments, shown(figures), {"training": figures})


if __name__ == "__main__":
    main()
