"""The loss over the answers in packs.

In: pieces of packs. Out: one differentiable sum over the tokens of their answers, over the whole vocabulary. It is a
module whose forward pass is the whole computation, since weights that are divided among ranks are whole only inside.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparklabel.errors import ModelError
from sparklabel.language_model.attention import packed
from sparklabel.language_model.model import LanguageModel
from sparklabel.language_model.output_heads import LOGITS_AT_ONCE, VocabularyHead
from sparklabel.language_model.training.loss import vocabulary_loss
from sparklabel.language_model.training.packs import Pack

_ALIKE, _SAME = 0.98, 0.02
"""How alike the states of a pack are to the model's own, as a mean cosine: two ways to compute attention in bfloat16
differ by 3% of the norm of long prompts. And how far those of one way may be apart, as a share of their norm."""


class PackedPiece(NamedTuple):
    """A piece of a pack: its tokens, and where among them its answer begins."""

    tokens: NDArray[np.int32]
    answer: int


def pieces_of(packs: Sequence[Pack]) -> list[PackedPiece]:
    """All pieces, in order."""
    return [
        PackedPiece(pack.tokens[begin:end], int(answer - begin))
        for pack in packs
        for begin, end, answer in zip((0, *pack.ends[:-1]), pack.ends, pack.answers, strict=True)
    ]


def microbatches(pieces: Sequence[PackedPiece], tokens: int) -> list[list[PackedPiece]]:
    """Pieces in order, in parts of at most so many tokens; a longer piece is a part of its own."""
    parts: list[list[PackedPiece]] = []
    room = 0
    for piece in pieces:
        if not parts or len(piece.tokens) > room:
            parts.append([])
            room = tokens
        parts[-1].append(piece)
        room -= len(piece.tokens)
    return parts


class PackLoss(nn.Module):
    """The summed negative log-probability, in nats, of the answers' tokens. `trains_head`: the output matrix learns,
    too."""

    def __init__(self, model: Any, *, trains_head: bool, logits_at_once: int = LOGITS_AT_ONCE) -> None:
        super().__init__()
        self.model = model
        self._head = VocabularyHead(self.model, trains=trains_head)
        self._logits_at_once = logits_at_once

    def forward(self, pieces: Sequence[PackedPiece]) -> Tensor:
        states = self.states(pieces)
        begins = np.cumsum([0, *(len(piece.tokens) for piece in pieces[:-1])])
        # A token is learned from the state of the one before it.
        places = np.concatenate(
            [
                begin + np.arange(one.answer, len(one.tokens))
                for begin, one in zip(begins, pieces, strict=True)
            ]
        )
        targets = np.concatenate([piece.tokens[piece.answer :] for piece in pieces])
        hidden = states[torch.from_numpy(places - 1).to(states.device)]
        wanted = torch.from_numpy(targets).long().to(states.device)
        return vocabulary_loss(self._head, hidden, wanted, self._logits_at_once)

    def states(self, pieces: Sequence[PackedPiece]) -> Tensor:
        """Hidden states after the final norm [T, D], of all pieces' tokens in order."""
        device = next(self.model.parameters()).device
        tokens = np.concatenate([piece.tokens for piece in pieces])
        where = packed.Pieces.of([len(piece.tokens) for piece in pieces], device)
        ids = torch.from_numpy(np.pad(tokens, (0, where.filling))).long()[None].to(device)
        made: Any = self.model.base_model(
            input_ids=ids, position_ids=where.positions, use_cache=False, pieces=where
        )
        states: Tensor = made.last_hidden_state[0, : len(tokens)]
        return states


@contextmanager
def packing(language_model: LanguageModel) -> Iterator[None]:
    """Inside, the model attends within packs."""
    with language_model.attention_by(packed.NAME):
        yield


@contextmanager
def recomputing(model: Any, *, activations: bool) -> Iterator[None]:
    """Inside, the model computes activations again for the gradients, if asked to. It drops out nothing, ever: losses
    must not depend on how a model is computed."""
    if not activations:
        yield
        return
    rates = {module: module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()  # transformers recomputes only then
    for module in rates:
        module.p = 0.0
    try:
        yield
    finally:
        model.gradient_checkpointing_disable()
        model.eval()
        for module, rate in rates.items():
            module.p = rate


def check_packs(language_model: LanguageModel, pieces: Sequence[PackedPiece]) -> None:
    """Raises ModelError for an architecture whose states depend on what else is in a pack."""
    device = language_model.device
    with torch.no_grad():
        alone = [
            language_model.hidden(torch.from_numpy(piece.tokens).long()[None].to(device))[0]
            for piece in pieces
        ]
        with packing(language_model):
            together = PackLoss(language_model.model, trains_head=False).states(pieces)
    alike = nn.functional.cosine_similarity(torch.cat(alone).float(), together.float(), dim=1).mean()
    if not alike > _ALIKE:
        raise _not_in_packs(language_model.model)


def check_same_in_packs(loss: PackLoss) -> None:
    """The same by packed attention alone, for a model that has no vocabulary to speak of."""
    pieces = [PackedPiece(np.full(length, length % 7, np.int32), 1) for length in (5, 9, 3)]
    with torch.no_grad():
        together, alone = loss.states(pieces), torch.cat([loss.states([piece]) for piece in pieces])
    alone, together = alone.float(), together.float()
    if not (together - alone).norm() <= _SAME * alone.norm():
        raise _not_in_packs(loss.model)


def _not_in_packs(model: Any) -> ModelError:
    return ModelError(
        f"{type(model).__name__} cannot be trained in packs: its layers look beyond a piece.",
        hint="Use a model of the Llama, Mistral or Qwen families.",
    )
