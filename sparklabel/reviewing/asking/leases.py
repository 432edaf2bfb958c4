"""Leases: who has which row in the browser, so that nobody else is given it.

In: names, hashes, times in seconds. Out: who holds what. A lease ends by itself, and is renewed while the row waits in
the browser.
"""

LEASE_SECONDS = 120.0


class Leases:
    """The leases of one task. Several people may hold one for the same row."""

    def __init__(self) -> None:
        self._until: dict[str, dict[str, float]] = {}

    def take(self, row: str, reviewer: str, now: float) -> None:
        """Gives a lease, or renews it."""
        self._until.setdefault(row, {})[reviewer] = now + LEASE_SECONDS

    def holders(self, row: str, now: float) -> set[str]:
        """Who holds the row."""
        held = self._until.get(row)
        return {reviewer for reviewer, until in held.items() if until > now} if held else set()

    def drop(self, row: str, reviewer: str) -> None:
        """Ends a lease; without one it does nothing."""
        held = self._until.get(row, {})
        held.pop(reviewer, None)
        if not held:
            self._until.pop(row, None)
