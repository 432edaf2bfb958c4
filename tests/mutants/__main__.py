"""Do the tests fail when the code is wrong? `python -m tests.mutants [--jobs N] [--again] [MODULE...]`

Makes mutants of the modules in scope.toml, each with one small change, runs the module's tests over each of them, and
prints how many were caught. It fails if fewer than 95% were, or if one survived that scope.toml gives no reason for.
What was found is noted in build/mutants: a run that was ended goes on, and ends at once if nothing has changed since.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.mutants.ledger import Found, Ledger, Scope, read_scope
from tests.mutants.notes import Notes, content_of
from tests.mutants.operators import Mutant, mutants
from tests.mutants.runs import COPIED, Copy, Run, run_all, spark_server
from tests.mutants.worker import Outcome

CHECKOUT = Path(__file__).parents[2]
BUILD = CHECKOUT / "build" / "mutants"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="parts of their names; all of scope.toml by default")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="only what was never caught, by whatever tests")
    options = parser.parse_args()
    scope = read_scope(Path(__file__).with_name("scope.toml"))
    modules = [m for m in scope.tests if any(part in m for part in options.modules or [""])]
    made = [
        mutant for module in modules for mutant in mutants(module, (CHECKOUT / module).read_text("utf-8"))
    ]
    BUILD.mkdir(parents=True, exist_ok=True)
    notes = Notes(
        BUILD / "found.jsonl",
        {module: content_of(CHECKOUT, COPIED, scope.tests[module]) for module in modules},
    )
    known = notes.known(again=options.again)
    found = [known[mutant.key] for mutant in made if mutant.key in known]
    todo, begun = [mutant for mutant in made if mutant.key not in known], time.monotonic()
    for one in run(scope, todo, options.jobs) if todo else ():
        mutant = one.mutant
        found.append(Found(mutant.module, mutant.change, one.outcome.value, mutant.line, mutant.nth))
        notes.add(found[-1])
        report(one, len(found), len(made))
    ledger = Ledger(scope, found)
    print(*ledger.lines(), f"{len(todo)} mutants in {(time.monotonic() - begun) / 60:.0f} minutes", sep="\n")
    return 0 if ledger.holds else 1


def run(scope: Scope, made: Sequence[Mutant], jobs: int) -> Iterator[Run]:
    """What becomes of the mutants. Without a change all tests must pass."""
    modules = list(dict.fromkeys(mutant.module for mutant in made))
    needs_spark = any(test.startswith("tests/spark") for module in modules for test in scope.tests[module])
    with ExitStack() as stack:
        environment = (
            stack.enter_context(spark_server(BUILD / "warehouse")) if needs_spark else dict(os.environ)
        )
        copies = [Copy(CHECKOUT, BUILD / f"copy{number}", modules, environment) for number in range(jobs)]
        for copy in copies:
            stack.callback(copy.close)
        for copy in copies:
            copy.wait()
        limits = {module: copies[0].limit(module, scope.tests[module]) for module in modules}
        print(*(f"{module}: {seconds} s at most" for module, seconds in limits.items()), sep="\n", flush=True)
        yield from run_all(copies, made, scope.tests, limits)


def report(one: Run, number: int, of: int) -> None:
    failed = next((line for line in one.printed.splitlines() if line.startswith(("FAILED", "ERROR"))), "")
    name = f"{one.mutant.module}:{one.mutant.line}"
    print(
        f"{number}/{of} {one.seconds:5.1f} s {name} {one.mutant.operator} {one.outcome.value} {failed[:150]}",
        flush=True,
    )
    if one.outcome is Outcome.SURVIVED:
        print(one.mutant.change, flush=True)


if __name__ == "__main__":
    sys.exit(main())
