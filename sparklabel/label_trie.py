"""The label trie of the scored kinds: which tokens an answer may begin with, and what each label's probability is.

In: the token ids of each label. Out: which tokens an engine must evaluate after the prompt, which logits it must
read, and from those the log-probability of every label. Pure numpy: no engine does this arithmetic.

A label's probability is the product, along its path in the token trie, of the softmax over the allowed
continuations. Where a label ends inside another's path, "end" (any stop token) is one of them. Nodes with one
continuation have probability 1 and cost nothing; probabilities of all labels sum to 1. Labels may form groups, each
with a softmax of its own, such as the yes and no of each label of a multilabel task.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparklabel.errors import TaskError

END = -1
"""The option "the answer ends here": an engine reads the logsumexp over its stop ids."""

PROMPT = -1
"""The position of an option that is read at the prompt's last token, not at a tree token."""

TokenPath = tuple[int, ...]

_Node = tuple[int, TokenPath]
"""A node of the trie of one group of labels: the group's number, and the tokens that lead to the node."""


@dataclass(frozen=True, slots=True)
class Step:
    """A point where an answer could have continued differently: after `depth` of its tokens, `options[target]` is
    right. Without options every token is possible, and `target` is the right token itself."""

    depth: int
    options: tuple[int, ...]
    target: int


@dataclass(frozen=True, slots=True)
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
        if not self.option_tokens:
            return np.zeros((len(option_logits), len(self.paths)))
        logits = option_logits.astype(np.float64)
        if candidates is not None:
            leads = np.zeros((len(self.paths), len(self.option_tokens)), dtype=bool)
            for label, path in enumerate(self.label_paths):
                leads[label, list(path)] = True
            logits = np.where(candidates.astype(np.uint16) @ leads.astype(np.uint16) > 0, logits, -np.inf)
        branches = np.asarray(self.option_branches)
        starts = np.flatnonzero(np.diff(branches, prepend=-1))
        peak = np.maximum.reduceat(logits, starts, axis=1)[:, branches]
        peak = np.where(np.isneginf(peak), 0.0, peak)  # a node on the path of no candidate
        total = np.add.reduceat(np.exp(logits - peak), starts, axis=1)[:, branches]
        local = logits - peak - np.log(np.where(total == 0, 1.0, total))
        found = np.stack([local[:, list(path)].sum(axis=1) for path in self.label_paths], axis=1)
        return found if candidates is None else np.where(candidates, found, -np.inf)

    def steps(self, label: int) -> tuple[Step, ...]:
        """The branching nodes on a label's path, from the root. Training learns these from one answer."""
        path, depth, steps = self.paths[label], 0, []
        for taken in self.label_paths[label]:
            branch = [o for o, b in enumerate(self.option_branches) if b == self.option_branches[taken]]
            depth = self._depth(self.option_positions[taken])
            options = tuple(self.option_tokens[o] for o in branch)
            assert self.option_tokens[taken] in (END, *path[depth : depth + 1])
            steps.append(Step(depth, options, branch.index(taken)))
        return tuple(steps)

    def _depth(self, position: int) -> int:
        depth = 0
        while position != PROMPT:
            position, depth = self.tree_parents[position], depth + 1
        return depth


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
