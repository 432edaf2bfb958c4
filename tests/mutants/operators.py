"""What is changed in the code: Cosmic Ray's operators, as far as they are not noise, and ours for what it lacks.

In: a module's source. Out: its mutants, each the whole source with one change. Ours: SQL inside strings, and leaving
out an element, an operand or a statement, because each guard alone must matter. Declarations are left
alone: what they say is for type checkers, or for speed.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from itertools import chain
from typing import Any

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator

from tests.mutants.sql_swaps import sql_variants

_COMPARISONS = (
    "Eq_NotEq", "NotEq_Eq", "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt",
    "Is_IsNot", "IsNot_Is",
)  # fmt: skip
"""The border moved, or the answer turned round. Cosmic Ray also swaps == with <, which any test of equality catches."""
_ARITHMETIC = (
    "Add_Sub",
    "Sub_Add",
    "Mul_Div",
    "Div_Mul",
    "Pow_Mul",
    "Mod_Mul",
    "BitOr_BitAnd",
    "BitAnd_BitOr",
)
_CORE = (
    "AddNot", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "NumberReplacer",
    "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_USub", "RemoveDecorator",
    "ZeroIterationForLoop", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak",
    *(f"ReplaceComparisonOperator_{one}" for one in _COMPARISONS),
    *(f"ReplaceBinaryOperator_{one}" for one in _ARITHMETIC),
)  # fmt: skip
_DISPLAYS = ("testlist_comp", "dictorsetmaker")


class Replacing(Operator):
    """An operator that puts other code in the place of a node."""

    def variants(self, node: Any) -> list[str]:
        """The code that may stand in the place of the node's, without the blanks before it."""
        raise NotImplementedError

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        for _ in self.variants(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        blanks = node.get_first_leaf().prefix
        return parso.python.tree.Name(self.variants(node)[index], node.start_pos, prefix=blanks)

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class Sql(Replacing):
    """SQL that means something else."""

    def variants(self, node: Any) -> list[str]:
        is_text = node.type == "fstring_string" or (node.type == "string" and not _is_docstring(node))
        return list(sql_variants(node.value)) if is_text else []


class DropElement(Replacing):
    """A list, tuple, set or dict, or the exceptions that are caught, without one of its elements."""

    def variants(self, node: Any) -> list[str]:
        if node.type not in _DISPLAYS or any(
            child.type in ("comp_for", "sync_comp_for") for child in node.children
        ):
            return []
        elements = _elements(node)
        if len(elements) < 2:
            return []
        return [
            ", ".join(code for place, code in enumerate(elements) if place != left_out) + ","
            for left_out in range(len(elements))
        ]


class DropOperand(Replacing):
    """A condition without one of its parts."""

    def variants(self, node: Any) -> list[str]:
        if node.type not in ("and_test", "or_test"):
            return []
        operands, word = node.children[::2], f" {node.children[1].value} "
        return [
            word.join(part.get_code(include_prefix=False) for part in operands if part is not left_out)
            for left_out in operands
        ]


class DropStatement(Replacing):
    """Nothing, where something was called, assigned to an attribute or raised."""

    def variants(self, node: Any) -> list[str]:
        is_statement = node.parent is not None and node.parent.type == "simple_stmt"
        is_call = node.type in ("atom_expr", "power") and node.children[-1].type == "trailer"
        is_set = (
            node.type == "expr_stmt"
            and "." in node.children[0].get_code()
            and node.children[1].type == "operator"
        )
        return ["pass"] if is_statement and (is_call or is_set or node.type == "raise_stmt") else []


class Membership(Replacing):
    """`in` for `not in`, and the other way round."""

    def variants(self, node: Any) -> list[str]:
        if node.type == "keyword" and node.value == "in" and node.parent.type == "comparison":
            return ["not in"]
        return ["in"] if node.type == "comp_op" and node.get_code().split() == ["not", "in"] else []


_OURS = {one.__name__: one for one in (Sql, DropElement, DropOperand, DropStatement, Membership)}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module's source with one change. `change` are the lines that differ, as a diff has them; `nth` tells it from
    others that change equal lines in the same way."""

    module: str
    operator: str
    source: str
    change: str
    line: int
    nth: int

    @property
    def key(self) -> tuple[str, str, int]:
        """Tells it from all others, as `Found.key` does."""
        return self.module, self.change, self.nth


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """All mutants of a module that differ from each other."""
    tree, seen, times = get_ast(source), {source}, Counter[str]()
    ours = ((name, kind()) for name, kind in _OURS.items())
    core = ((name, get_operator(f"core/{name}")()) for name in _CORE)
    for name, operator in chain(ours, core):
        places = [(node, at) for node in ast_nodes(tree) for at, _ in operator.mutation_positions(node)]
        for occurrence, (node, (line, _)) in enumerate(places):
            mutated = None if _is_declaration(node) else mutate_code(source, operator, occurrence)
            if mutated is not None and mutated not in seen:
                seen.add(mutated)
                change = _change(source, mutated)
                yield Mutant(module, name, mutated, change, line, times[change])
                times[change] += 1


def _change(before: str, after: str) -> str:
    lines = list(unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    return "\n".join(
        f"{line[0]} {line[1:].strip()}" for line in lines if line[0] in "+-" and line[1:].strip()
    )


def _elements(node: Any) -> list[str]:
    """The code of a display's elements: of a dictionary, key and value together."""
    found = [""]
    for child in node.children:
        if child.type == "operator" and child.value == ",":
            found.append("")
        else:
            found[-1] += child.get_code()
    return [code.strip() for code in found if code.strip()]


def _is_docstring(node: Any) -> bool:
    return node.parent is not None and node.parent.type in ("simple_stmt", "file_input")


def _is_declaration(node: Any) -> bool:
    """Whether the node is part of an annotation or of a decorator's arguments, or marks a kind of parameter."""
    if node.parent is not None and node.parent.type == "parameters":
        return True
    while node.parent is not None:
        parent = node.parent
        if parent.type == "decorator":
            return True
        if parent.type == "annassign" and node is parent.children[1]:
            return True
        if parent.type == "tfpdef" and node is parent.children[-1]:
            return True
        if parent.type == "funcdef" and node is parent.annotation:
            return True
        node = parent
    return False
