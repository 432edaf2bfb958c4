"""What became of mutants, noted at once: a run that was ended goes on where it was.

In: the checkout, a file. Out: what is known of mutants. It says nothing of whether that is good.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sparklabel.hashing import files_sha256
from tests.mutants.ledger import CAUGHT, Found


def content_of(checkout: Path, names: Sequence[str], tests: Sequence[str]) -> str:
    """The hash of what decides whether a mutant is caught by these tests: of these files and folders, without other
    tests, and without the folder `mutants`, which has the reasons of survivors."""
    chosen = [checkout / one for one in tests]
    return files_sha256(
        checkout,
        (
            file
            for name in names
            for file in ((checkout / name).rglob("*") if (checkout / name).is_dir() else [checkout / name])
            if not {"__pycache__", "mutants"} & set(file.relative_to(checkout).parts)
            and (not file.name.startswith("test_") or any(file.is_relative_to(one) for one in chosen))
        ),
    )


@dataclass(frozen=True, slots=True)
class Notes:
    """A line of JSON for each mutant that was run. `contents` has, by module, the hash of what is there now."""

    file: Path
    contents: Mapping[str, str]

    def known(self, *, again: bool) -> dict[tuple[str, str, int], Found]:
        """What is known of mutants, by their keys: all that was found in what is there now. With `again`, all that was
        ever caught, and no others."""
        known: dict[tuple[str, str, int], Found] = {}
        for found, content in self._all():
            counts = found.outcome == CAUGHT if again else content == self.contents.get(found.module)
            known.pop(found.key, None)
            if counts:
                known[found.key] = found
        return known

    def _all(self) -> Iterator[tuple[Found, str]]:
        for line in self.file.read_text("utf-8").splitlines() if self.file.exists() else ():
            with suppress(ValueError):  # a run was killed while it wrote
                note = json.loads(line)
                yield Found(**note["found"]), note["content"]

    def add(self, found: Found) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps({'content': self.contents[found.module], 'found': asdict(found)})}")
