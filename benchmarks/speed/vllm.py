"""The vLLM engine against vLLM itself, in one run.

    pip install --no-deps lm-format-enforcer interegular   # vLLM 0.32 imports them for its own structured outputs
    python -m benchmarks.speed.vllm [--rows 48] [--rounds 3] [--threads 2] [--out FILE.json]

Ours goes from texts to labels. Raw is `LLM.generate` of the same vLLM on the same token ids, prepared beforehand: for
scoring with the same requests, for JSON with vLLM's own structured output under the same schema. The third way of
scoring is the usual one: have vLLM write one of the labels. Every way starts with an empty prefix cache, is warmed up
once, and is measured once per round, in turn. The figure is the median over rounds of raw seconds divided by ours; for
JSON it is per written token, because the two forms differ in whitespace.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.harness import argument_parser, figure_table, finish
from sparklabel.demo.data import movie_reviews
from sparklabel.engines.vllm.engine import VllmEngine, position_requests
from sparklabel.engines.vllm.loading import VllmOptions, open_llm, uncompiled
from sparklabel.engines.vllm.loop import VllmLoop
from sparklabel.labeler import Labeler, PreparedTask
from sparklabel.language_model import ModelTokenizer
from sparklabel.models.references import embedded_model
from sparklabel.tasks import Task, extraction

if TYPE_CHECKING:
    from vllm import LLM

_FIELDS = {"movie": "string", "opinion": {"type": "string", "options": ["good", "bad"]}, "quote": "string"}
_MAX_TOKENS = 48


class Ways:
    """The same rows for every way, which is a function that returns how many tokens it wrote."""

    def __init__(self, threads: int, rows: int) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        # Raw vLLM is stepped by this thread, ours by its own; the two never run at once.
        torch.set_num_threads(threads)
        options, opened = VllmOptions(threads=threads), []

        def load() -> "LLM":
            opened.append(open_llm(embedded_model(), None, options))
            return opened[0]

        self._engine = VllmEngine(VllmLoop(load), ModelTokenizer.load(embedded_model()))
        self._llm = opened[0]
        verdict, frame = movie_reviews()
        self._rows = [[text] for text in frame["text"].drop_duplicates().head(rows)]
        self._scored, self._written = (
            self._asked(verdict),
            self._asked(extraction("review", "text", _FIELDS, max_tokens=_MAX_TOKENS)),
        )
        choice = StructuredOutputsParams(choice=list(verdict.answer_mode.verbalized))  # type: ignore[union-attr]
        self._choice = SamplingParams(temperature=0, max_tokens=8, structured_outputs=choice)
        mode: Any = self._written[0].mode
        held = StructuredOutputsParams(json=mode.schema)
        self._json = SamplingParams(
            temperature=0, max_tokens=mode.max_tokens, structured_outputs=held, logprobs=0
        )

    def _asked(self, task: Task) -> tuple[PreparedTask, Labeler, list[tuple[int, ...]]]:
        question = PreparedTask.of(task, self._engine.tokenizer)
        ids = [question.encoder.prefix + prompt.ids for prompt in question.encoder.encode(self._rows)]
        return question, Labeler(task, self._engine, model="benchmark"), ids

    def all(self) -> dict[str, Callable[[], int]]:
        question, labeler, ids = self._scored
        positions = position_requests(question.trie, self._engine.tokenizer.stop_ids)
        requests = [(row + position.path, position.params()) for row in ids for position in positions]
        return {
            "scoring": lambda: self._label(labeler),
            "scoring, raw": lambda: self._raw(requests),
            "scoring, raw choice": lambda: self._raw([(row, self._choice) for row in ids]),
            "JSON": lambda: self._label(self._written[1]),
            "JSON, raw": lambda: self._raw([(row, self._json) for row in self._written[2]]),
        }

    def _label(self, labeler: Labeler) -> int:
        labeler.clear_memo()
        return sum(label.output_tokens or 0 for label in labeler.label(self._rows))

    def _raw(self, requests: list[tuple[tuple[int, ...], Any]]) -> int:
        found = generated(self._llm, *map(list, zip(*requests, strict=True)))
        return sum(len(output.outputs[0].token_ids) for output in found)

    def seconds(self, way: Callable[[], int]) -> tuple[float, int]:
        """Seconds from an empty prefix cache, and the tokens written."""
        self._llm.reset_prefix_cache()
        start = time.perf_counter()
        tokens = way()
        return time.perf_counter() - start, tokens


def generated(llm: "LLM", rows: Sequence[tuple[int, ...]], params: Any) -> list[Any]:
    """What vLLM writes behind rows of token ids, by the same parameters or those of each row."""
    prompts: Any = [{"prompt_token_ids": list(ids)} for ids in rows]
    with uncompiled():
        return llm.generate(prompts, params, use_tqdm=False)


def measure(ways: Ways, rounds: int) -> dict[str, list[tuple[float, int]]]:
    """Seconds and written tokens of each way in each round, without the warm-up."""
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in ways.all()}
    for number in range(rounds + 1):
        for name, way in ways.all().items():
            took = ways.seconds(way)
            print(f"round {number}: {name} took {took[0]:.2f} s, {took[1]} tokens", flush=True)
            if number:
                found[name].append(took)
    return found


def figures(found: dict[str, list[tuple[float, int]]], rows: int) -> dict[str, float]:
    """Rows per second of each way, and raw time divided by ours."""
    rates = {f"{name}, rows/s": statistics.median(rows / s for s, _ in of) for name, of in found.items()}
    pairs = zip(found["scoring"], found["scoring, raw"], strict=True)
    per_token = {name: [s / tokens for s, tokens in found[name]] for name in ("JSON", "JSON, raw")}
    return rates | {
        "scoring: of raw": statistics.median(raw / ours for (ours, _), (raw, _) in pairs),
        "JSON: of raw, by token": statistics.median(
            raw / ours for ours, raw in zip(per_token["JSON"], per_token["JSON, raw"], strict=True)
        ),
    }


def main() -> None:
    parser = argument_parser(__doc__, rows=48, rounds=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    arguments = parser.parse_args()
    found = measure(Ways(arguments.threads, arguments.rows), arguments.rounds)
    summary = figures(found, arguments.rows)
    table = figure_table("vLLM", "", "median")
    for name, value in summary.items():
        table.add_row(name, f"{value:.2f}")
    finish(arguments, table, {"seconds_tokens": found, "figures": summary})


if __name__ == "__main__":
    main()
