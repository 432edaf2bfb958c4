"""The label trie of the scored kinds: which tokens an answer may begin with, and what each label's probability is.

In: the token ids of each label. Out: which tokens an engine must evaluate after the prompt, which logits it must
read, and from those the log-probability of every label. Pure numpy: no engine does this arithmetic.

A label's probability is the product, along its path in the token trie, of the softmax over the allowed
continuations. Where a label ends inside another's path, "end" (any stop token) is one of them. Nodes with one
continuation have probability 1 and cost nothing; probabilities of all labels sum to 1. Labels may form groups, each
with a softmax of its own, such as the yes and no of each label of a multilabel task.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparklabel.errors import TaskError

END = -1
"""The option "the answer ends here": an engine reads the logsumexp over its stop ids."""

PROMPT = -1
"""The position of an option that is read at the prompt's last token, not at a tree token."""

TokenPath = tuple[int, ...]

_ROWS_AT_ONCE = 64
"""With 10,000 labels so many rows take some 50 MB."""

_Node = tuple[int, TokenPath]
"""A node of the trie of one group of labels: the group's number, and the tokens that lead to the node."""


@dataclass(frozen=True, slots=True)
class Step:
    """A point where an answer could have continued differently: after `depth` of its tokens, `options[target]` is
    right. Without options every token is possible, and `target` is the right token itself."""

    depth: int
    options: tuple[int, ...]
    target: int


@dataclass(frozen=True)
class LabelTrie:
    """The branching part of a token trie over L labels, with T tree tokens and O options.

    tree_tokens[T], tree_parents[T]: the tokens that lead to the inner branching nodes, parents first; a parent is an
    index into the tree, or PROMPT. option_positions[O], option_tokens[O], option_branches[O]: each allowed continuation
    of a branching node: where its logit is read, its token (or END), and the number of its node. label_paths[L]: the
    options that each label takes.
    """

    paths: tuple[TokenPath, ...]
    tree_tokens: tuple[int, ...]
    tree_parents: tuple[int, ...]
    option_positions: tuple[int, ...]
    option_tokens: tuple[int, ...]
    option_branches: tuple[int, ...]
    label_paths: tuple[tuple[int, ...], ...]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is derived: every request to an engine's process carries a trie."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def tree_depth(self) -> int:
        """How many tokens of context the deepest tree token needs after the prompt."""
        depths: list[int] = []
        for parent in self.tree_parents:
            depths.append(1 if parent == PROMPT else depths[parent] + 1)
        return max(depths, default=0)

    def log_probabilities(
        self, option_logits: NDArray[np.float32], candidates: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """[N, O] logits (any constant per branching node may be added) to [N, L] log-probabilities.

        With `candidates` [N, L] a row has only these labels. The others get -inf, and the softmax at a node is over the
        continuations that lead to one of the candidates, which is what the trie of these labels alone would give.
        """
        found = np.zeros((len(option_logits), len(self.paths)))
        if not self.option_tokens:
            return found
        for start in range(0, len(found), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            # The last column is the option of probability 1.
            logits = np.pad(option_logits[part].astype(np.float64), ((0, 0), (0, 1)))
            if candidates is None:
                found[part] = self._sums(logits)
            else:
                found[part] = self._candidate_sums(logits, candidates[part])
        return found

    def _sums(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """[N, O + 1] to [N, L]: the sum along each label's path."""
        local = _log_softmax(logits, _starts(self._along.branches))
        return np.add.reduceat(local[:, self._along.options], self._along.starts, axis=1)

    def _candidate_sums(
        self, logits: NDArray[np.float64], candidates: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """[N, L]: the same among each row's candidates, in time that grows with their number and not with L."""
        along, found = self._along, np.full(candidates.shape, -np.inf)
        rows, labels = np.nonzero(candidates)
        if not len(labels):
            return found
        lengths = along.lengths[labels]
        starts = np.cumsum(lengths) - lengths
        options = along.options[np.arange(lengths.sum()) + np.repeat(along.starts[labels] - starts, lengths)]
        width = logits.shape[1]
        # Each option that a row can take, once: sorted by row and by node.
        possible, place = np.unique(np.repeat(rows, lengths) * width + options, return_inverse=True)
        nodes = possible // width * width + along.branches[possible % width]
        local = _log_softmax(logits.reshape(1, -1)[:, possible], _starts(nodes))[0]
        found[rows, labels] = np.add.reduceat(local[place], starts)
        return found

    @cached_property
    def _along(self) -> "_Along":
        one = len(self.option_tokens)
        paths = [(one, *path) for path in self.label_paths]
        lengths = np.array([len(path) for path in paths])
        branches = np.array([*self.option_branches, max(self.option_branches) + 1])
        return _Along(np.concatenate(paths), np.cumsum(lengths) - lengths, lengths, branches)

    def steps(self, label: int) -> tuple[Step, ...]:
        """The branching nodes on a label's path, from the root. Training learns these from one answer."""
        path, steps = self.paths[label], []
        for taken in self.label_paths[label]:
            branch = self._siblings[self.option_branches[taken]]
            depth = self._depth(self.option_positions[taken])
            options = tuple(self.option_tokens[o] for o in branch)
            assert self.option_tokens[taken] in (END, *path[depth : depth + 1])
            steps.append(Step(depth, options, branch.index(taken)))
        return tuple(steps)

    @cached_property
    def _siblings(self) -> dict[int, list[int]]:
        """The options of each branching node."""
        found: dict[int, list[int]] = {}
        for option, branch in enumerate(self.option_branches):
            found.setdefault(branch, []).append(option)
        return found

    def _depth(self, position: int) -> int:
        depth = 0
        while position != PROMPT:
            position, depth = self.tree_parents[position], depth + 1
        return depth


class _Along(NamedTuple):
    """The options on the paths of all L labels, one path after the other, and the node of each option. A path begins
    with an option more, of number O and probability 1, so that none is empty.

    `starts` [L] and `lengths` [L] say which of the `options` are a label's; `branches` [O + 1] are the nodes' numbers.
    """

    options: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    branches: NDArray[np.int64]


def _starts(nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each run of equal numbers begins."""
    return np.flatnonzero(np.diff(nodes, prepend=-1))


def _log_softmax(logits: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Along the second axis, within groups that begin at `starts`; -inf where nothing in a group is possible."""
    sizes = np.diff(starts, append=logits.shape[1])

    def of_group(reduced: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.repeat(reduced, sizes, axis=1)

    peak = np.maximum.reduceat(logits, starts, axis=1)
    peak[np.isneginf(peak)] = 0.0
    shifted = logits - of_group(peak)
    total = np.add.reduceat(np.exp(shifted), starts, axis=1)
    total[total == 0] = 1.0
    return shifted - of_group(np.log(total))


def label_trie(paths: Sequence[Sequence[int]], names: Sequence[str], groups: Sequence[int] = ()) -> LabelTrie:
    """Builds the trie.

    Args:
        paths: The token ids of each label.
        names: The labels' names, for errors.
        groups: The sizes of consecutive groups of labels, each with branchings of its own and probabilities that sum
            to 1. By default all labels are one group. Groups share the tokens that they begin with.

    Raises:
        TaskError: Two labels are the same tokens, or a label has none.
    """
    return _build(tuple(tuple(path) for path in paths), names, tuple(groups) or (len(paths),))


def _build(paths: tuple[TokenPath, ...], names: Sequence[str], groups: tuple[int, ...]) -> LabelTrie:
    _check_distinct(paths, names)
    group_of = [group for group, size in enumerate(groups) for _ in range(size)]
    children: dict[_Node, dict[int, None]] = {}
    for group, path in zip(group_of, paths, strict=True):
        for depth in range(len(path) + 1):
            children.setdefault((group, path[:depth]), {})[(*path, END)[depth]] = None
    branching = sorted((node for node, after in children.items() if len(after) > 1), key=lambda n: len(n[1]))
    inner = sorted(
        {node[:depth] for _, node in branching for depth in range(1, len(node) + 1)},
        key=lambda n: (len(n), n),
    )
    position = {node: number for number, node in enumerate(inner)} | {(): PROMPT}
    flat = [
        (position[node[1]], token, number)
        for number, node in enumerate(branching)
        for token in children[node]
    ]
    index = {(branching[branch], token): o for o, (_, token, branch) in enumerate(flat)}
    return LabelTrie(
        paths=paths,
        tree_tokens=tuple(node[-1] for node in inner),
        tree_parents=tuple(position[node[:-1]] for node in inner),
        option_positions=tuple(at for at, _, _ in flat),
        option_tokens=tuple(token for _, token, _ in flat),
        option_branches=tuple(branch for _, _, branch in flat),
        label_paths=tuple(
            _label_path(group, path, index) for group, path in zip(group_of, paths, strict=True)
        ),
    )


def _label_path(group: int, path: TokenPath, index: dict[tuple[_Node, int], int]) -> tuple[int, ...]:
    taken = [((group, path[:depth]), (*path, END)[depth]) for depth in range(len(path) + 1)]
    return tuple(index[step] for step in taken if step in index)


def _check_distinct(paths: Sequence[TokenPath], names: Sequence[str]) -> None:
    first: dict[TokenPath, str] = {}
    for path, name in zip(paths, names, strict=True):
        if not path:
            raise TaskError(f"The label {name!r} has no tokens.")
        if path in first:
            raise TaskError(f"The labels {first[path]!r} and {name!r} are the same tokens to this model.")
        first[path] = name
