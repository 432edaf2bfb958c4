"""The loss over the learned positions of a batch.

In: hidden states and the steps to learn. Out: one differentiable sum. It reads no data and changes no weights.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sparklabel.label_trie import Step
from sparklabel.language_model.model import LanguageModel
from sparklabel.language_model.output_heads import LOGITS_AT_ONCE, OptionHead, VocabularyHead
from sparklabel.language_model.training.examples import TrainingExample

_FILLED = 32
_NOTHING = -100
"""The target of a position that nothing is learned from: cross_entropy's own."""


class AnswerLoss:
    """The summed negative log-probability of the right options, as scoring defines a label's probability; or over the
    whole vocabulary, for steps without options. All examples are of one kind."""

    def __init__(
        self,
        language_model: LanguageModel,
        examples: Sequence[TrainingExample],
        logits_at_once: int = LOGITS_AT_ONCE,
    ) -> None:
        self._device = language_model.device
        tokens = {token for example in examples for step in example.steps for token in step.options}
        stops = language_model.tokenizer.stop_ids
        self._options = OptionHead(language_model.model, stops, tokens) if tokens else None
        self._vocabulary = VocabularyHead(language_model.model)
        self._logits_at_once = logits_at_once

    def __call__(self, hidden: Tensor, steps: Sequence[Step]) -> Tensor:
        """The sum over P steps, in nats, from their hidden states [P, D]."""
        targets = torch.tensor([step.target for step in steps], device=self._device)
        if self._options is None:
            return vocabulary_loss(self._vocabulary, hidden, targets, self._logits_at_once)
        column = self._options.column
        columns = [torch.tensor([column[token] for token in step.options]) for step in steps]
        # Shorter lists of options are padded with a column that is masked out.
        allowed = nn.utils.rnn.pad_sequence(columns, batch_first=True, padding_value=-1).to(self._device)
        offered = self._options(hidden).gather(1, allowed.clamp(min=0))
        return nn.functional.cross_entropy(
            offered.masked_fill(allowed < 0, float("-inf")), targets, reduction="sum"
        )


def vocabulary_loss(head: VocabularyHead, hidden: Tensor, targets: Tensor, logits_at_once: int) -> Tensor:
    """The summed negative log-probability of the targets [P] among all tokens, in nats, from hidden states [P, D].
    Logits of many positions and their gradients would take gigabytes, so beyond a bound they are computed in parts, and
    again for the gradients."""

    def of_part(hidden: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(head(hidden), targets, reduction="sum")

    if hidden.device.type == "cpu":  # few shapes, for the reason in `attention.packed`
        filling = -len(targets) % _FILLED
        hidden = nn.functional.pad(hidden, (0, 0, 0, filling))
        targets = nn.functional.pad(targets, (0, filling), value=_NOTHING)
    size = max(1, logits_at_once // head.size)
    if len(targets) <= size:
        return of_part(hidden, targets)
    parts = zip(hidden.split(size), targets.split(size), strict=True)
    return torch.stack([checkpoint(of_part, *part, use_reentrant=False) for part in parts]).sum()
