"""What was found beside what is known: the share that the tests catch, and survivors that nobody gave a reason for.

In: what became of the mutants, and scope.toml, which lists modules, their tests and the known survivors. Out: lines to
print, and whether the promises hold.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REQUIRED = 0.95
"""The share of mutants that the tests must catch."""
CAUGHT, SURVIVED, TIMEOUT, NO_MODULE = "caught", "survived", "timeout", "no module"


@dataclass(frozen=True, slots=True)
class Scope:
    """The modules with the tests that must catch their mutants, and the reasons of known survivors by module and
    change."""

    tests: Mapping[str, tuple[str, ...]]
    reasons: Mapping[tuple[str, str], str]


def read_scope(file: Path) -> Scope:
    """From scope.toml."""
    content = tomllib.loads(file.read_text("utf-8"))
    reasons = {
        (module, change.strip()): reason
        for module, groups in content.get("survivors", {}).items()
        for group in groups
        for reason in (group["reason"],)
        for change in group["changes"]
    }
    return Scope({module: tuple(tests) for module, tests in content["tests"].items()}, reasons)


@dataclass(frozen=True, slots=True)
class Found:
    """A mutant of a module: its change, as lines of a diff, which of equal changes it is, and what became of it."""

    module: str
    change: str
    outcome: str
    line: int = 0
    nth: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """Tells it from all other mutants, wherever its line is now."""
        return self.module, self.change, self.nth


@dataclass(frozen=True, slots=True)
class Ledger:
    """Mutants that could not be imported say nothing of the tests and are not counted. One whose tests did not end is
    caught, and told."""

    scope: Scope
    found: Sequence[Found]

    @property
    def unexplained(self) -> list[Found]:
        """Survivors without a reason."""
        return [one for one in self._survivors if (one.module, one.change) not in self.scope.reasons]

    @property
    def outdated(self) -> list[tuple[str, str]]:
        """Reasons for survivors that are none, of the modules that were run."""
        survive = {(one.module, one.change) for one in self._survivors}
        ran = {one.module for one in self.found}
        return [known for known in self.scope.reasons if known[0] in ran and known not in survive]

    @property
    def share(self) -> float:
        """How many of those that were counted were caught."""
        counted = [one for one in self.found if one.outcome != NO_MODULE]
        return 1 - len(self._survivors) / len(counted) if counted else 1.0

    @property
    def holds(self) -> bool:
        return self.share >= REQUIRED and not self.unexplained and not self.outdated

    @property
    def _survivors(self) -> list[Found]:
        return [one for one in self.found if one.outcome == SURVIVED]

    def lines(self) -> Iterator[str]:
        """The table, then what is to be done."""
        yield f"{'module':<42}{'mutants':>8}{'caught':>8}{'survived':>10}{'share':>8}{'no end':>8}{'no module':>11}"
        modules = sorted({one.module for one in self.found})
        for name in (*modules, "all"):
            outcomes = Counter(one.outcome for one in self.found if name in (one.module, "all"))
            survived, endless, unimportable = (outcomes[one] for one in (SURVIVED, TIMEOUT, NO_MODULE))
            counted = outcomes.total() - unimportable
            share = f"{1 - survived / counted:.1%}" if counted else "-"
            yield (
                f"{name:<42}{counted:>8}{counted - survived:>8}{survived:>10}{share:>8}{endless:>8}{unimportable:>11}"
            )
        for one in self.unexplained:
            yield f"survived, and has no reason in scope.toml: {one.module}:{one.line}\n{one.change}"
        for module, change in self.outdated:
            yield f"has a reason in scope.toml, and was caught or is gone: {module}\n{change}"
        if self.share < REQUIRED:
            yield f"{self.share:.1%} were caught, and {REQUIRED:.0%} are asked for"
