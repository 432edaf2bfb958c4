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
        self._positions_at_once = max(1, logits_at_once // self._vocabulary.size)

    def __call__(self, hidden: Tensor, steps: Sequence[Step]) -> Tensor:
        """The sum over P steps, in nats, from their hidden states [P, D]."""
        targets = torch.tensor([step.target for step in steps], device=self._device)
        if self._options is None:
            return self._among_all(hidden, targets)
        column = self._options.column
        columns = [torch.tensor([column[token] for token in step.options]) for step in steps]
        # Shorter lists of options are padded with a column that is masked out.
        allowed = nn.utils.rnn.pad_sequence(columns, batch_first=True, padding_value=-1).to(self._device)
        offered = self._options(hidden).gather(1, allowed.clamp(min=0))
        return nn.functional.cross_entropy(
            offered.masked_fill(allowed < 0, float("-inf")), targets, reduction="sum"
        )

    def _among_all(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """The sum over the whole vocabulary. Logits of many positions and their gradients would take gigabytes, so
        beyond a bound they are computed in parts, and again for the gradients."""
        parts = zip(
            hidden.split(self._positions_at_once), targets.split(self._positions_at_once), strict=True
        )
        if len(targets) <= self._positions_at_once:
            return self._part(hidden, targets)
        losses = [checkpoint(self._part, *part, use_reentrant=False) for part in parts]
        return torch.stack(losses).sum()

    def _part(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self._vocabulary(hidden), targets, reduction="sum")
