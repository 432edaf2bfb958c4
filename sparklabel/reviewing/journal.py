"""The journal: every event on disk before it is acknowledged, in one SQLite file.

In: events. Out: their numbers, once they are on disk; and all events again, in order. One thread writes; events that
wait together become one transaction (group commit), so that ten people do not wait for ten disk flushes. Events are
only appended. What they come to is decided in `resolve`, and what was written to a table in `answers_table`.
"""

import json
import queue
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sparklabel.errors import SetupError
from sparklabel.locks import held
from sparklabel.reviewing.records import Event

_FORMAT = 1
_MOST = 500
"""Events of one transaction: a long one would let the last of them wait."""
_PAGE = 1000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, task TEXT NOT NULL, content TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS merged (task TEXT PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refused (task TEXT NOT NULL, input_hash TEXT NOT NULL, PRIMARY KEY (task, input_hash));
"""
_TABLES = {"about", "events", "merged"}
_ANOTHER = "Name another file (--journal PATH, in Python journal=)"
_MAGIC, _OURS, _OURS_AT = b"SQLite format 3\0", 0x53504C52, 68
"""How a SQLite file begins; which application a journal says it is of, and where (sqlite.org/fileformat.html)."""


class Journal:
    """An open journal. Only one process has it open: a second one is told who the first is.

    Args:
        file: The SQLite file; it is made if it is missing.
        about: What is reviewed, as JSON has it: the arguments of the review. A journal of something else is refused.
            None: whatever the file says.

    Raises:
        SetupError: The file is another process's, another review's, or cannot be written.
    """

    def __init__(self, file: Path, about: Mapping[str, Any] | None = None) -> None:
        self.file = file
        if about is None and not file.is_file():
            raise SetupError(f"There is no journal {file}.", hint="`sparklabel review` makes one.")
        self._reading = threading.Lock()
        with ExitStack() as stack:
            try:
                _check_is_ours(file)  # before anything is written beside it, or into it
                file.parent.mkdir(parents=True, exist_ok=True)
                lock = file.with_name(f"{file.name}.lock")
                stack.enter_context(held(lock, "reviews with it", waiting=self._refuse_second))
                self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
                stack.callback(self._database.close)
                self._database.execute(f"PRAGMA application_id = {_OURS}")
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = FULL")
                self._database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
                self.about = self._described(about)
            except (OSError, sqlite3.Error) as error:
                raise SetupError(
                    f"The journal {file} cannot be used: {error}.",
                    hint=f"{_ANOTHER}, on a local disk that can be written.",
                ) from None
            self._closing = stack.pop_all()
        self._waiting: queue.Queue[tuple[Sequence[Event], Future[list[int]]] | None] = queue.Queue()
        self._writer = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._writer.start()

    @property
    def id(self) -> str:
        """Names the journal in answers tables."""
        return str(self.about["journal"])

    @property
    def last_seq(self) -> int:
        """The number of the newest event; 0 without one."""
        return int(self._one("SELECT coalesce(max(seq), 0) FROM events"))

    def submit(self, events: Sequence[Event]) -> "Future[list[int]]":
        """Gives events to the writer. The result, their numbers in order, is there when they are on disk; an event that
        is known has the number that it had. If they cannot be written, the result is a SetupError."""
        found: Future[list[int]] = Future()
        found.set_running_or_notify_cancel()  # what is written cannot be called back, and its writer must not fail
        self._waiting.put((events, found))
        return found

    def append(self, events: Sequence[Event]) -> list[int]:
        """`submit`, and waits for the result."""
        return self.submit(events).result()

    def events(self, after: int = 0, task: str | None = None) -> Iterator[Event]:
        """The events with a number above `after`, in order; of one task, or of all."""
        while page := self._all(
            "SELECT seq, content FROM events WHERE seq > ? AND (? IS NULL OR task = ?) ORDER BY seq LIMIT ?",
            (after, task, task, _PAGE),
        ):
            for seq, content in page:
                yield replace(Event.from_dict(json.loads(content)), seq=seq)
            after = page[-1][0]

    def merged(self, task: str) -> int:
        """The number of the newest event of the task that its labels are known to agree with."""
        return int(self._one("SELECT coalesce(max(seq), 0) FROM merged WHERE task = ?", (task,)))

    def note_merged(
        self, task: str, seq: int, merged: Iterable[str] = (), refused: Iterable[str] = ()
    ) -> None:
        """Notes it, and which of the inputs that were merged the table has another person's answer to."""
        with self._reading:
            self._database.execute("BEGIN IMMEDIATE")
            for name in merged:
                self._database.execute("DELETE FROM refused WHERE task = ? AND input_hash = ?", (task, name))
            for name in refused:
                self._database.execute("INSERT OR REPLACE INTO refused VALUES (?, ?)", (task, name))
            self._database.execute("INSERT OR REPLACE INTO merged VALUES (?, ?)", (task, seq))
            self._database.execute("COMMIT")

    def refused(self, task: str) -> list[str]:
        """The inputs to which the table had another person's answer when they were merged last."""
        return [name for (name,) in self._all("SELECT input_hash FROM refused WHERE task = ?", (task,))]

    def close(self) -> None:
        """Writes what waits, and closes the file. A second call does nothing."""
        if self._writer.is_alive():
            self._waiting.put(None)
            self._writer.join()
        self._closing.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _refuse_second(self, holder: str) -> None:
        raise SetupError(
            f"The journal {self.file} is in use by {holder}.",
            hint=f"The link of that review still works. {_ANOTHER}: a second review needs one of its own.",
        )

    def _described(self, about: Mapping[str, Any] | None) -> dict[str, Any]:
        """What is reviewed. A journal without an event has nothing to keep, and becomes that of any review: who
        mistyped the first one's key can go on."""
        row = self._database.execute("SELECT value FROM about WHERE name = 'review'").fetchone()
        found = json.loads(row[0]) if row else None
        if about is None:
            if found is None:
                raise SetupError(f"{self.file} is not a journal of a review.")
            return dict(found)
        given = json.loads(json.dumps(about))
        other = next((name for name in given if found and found.get(name) != given[name]), None)
        if found is not None and other is None:
            return dict(found)
        if found is not None and other is not None and self.last_seq:
            theirs, ours = _told(found.get(other)), _told(given[other])
            differ = (
                f"its {other} is {theirs}, not {ours}"
                if theirs != ours
                else f"its {other} is defined otherwise"
            )
            raise SetupError(
                f"The journal {self.file} is of another review: {differ}.",
                hint=f"{_ANOTHER}. `sparklabel flush --journal PATH` writes what that one holds.",
            )
        found = given | {"journal": uuid.uuid4().hex, "format": _FORMAT}
        self._database.execute("INSERT OR REPLACE INTO about VALUES ('review', ?)", (json.dumps(found),))
        return found

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._all(sql, values)[0][0]

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._reading:
            return self._database.execute(sql, values).fetchall()

    def _write_all(self) -> None:
        """What the writer's thread does until `close`."""
        while (first := self._waiting.get()) is not None:
            batch, is_last = [first], False
            while sum(len(events) for events, _ in batch) < _MOST:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    is_last = True
                    break
                batch.append(more)
            self._write(batch)
            if is_last:
                return

    def _write(self, batch: "Sequence[tuple[Sequence[Event], Future[list[int]]]]") -> None:
        try:
            with self._reading:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    found = [[self._number(event) for event in events] for events, _ in batch]
                    self._database.execute("COMMIT")
                except BaseException:
                    self._database.execute("ROLLBACK")
                    raise
        except Exception as error:  # noqa: BLE001 whatever it is, the people who wait must hear it, and the thread goes on
            refused = SetupError(f"The journal {self.file} cannot be written: {error}.")
            for _, future in batch:
                future.set_exception(refused)
            return
        for (_, future), numbers in zip(batch, found, strict=True):
            future.set_result(numbers)

    def _number(self, event: Event) -> int:
        """The event's number. One that is known is looked up: an insert that is ignored would use up a number."""
        find = "SELECT seq FROM events WHERE event_id = ?"
        if known := self._database.execute(find, (event.event_id,)).fetchone():
            return int(known[0])
        content = json.dumps(asdict(event), ensure_ascii=False)
        values = (event.event_id, event.task, content)
        added = self._database.execute(
            "INSERT INTO events (event_id, task, content) VALUES (?, ?, ?)", values
        )
        return int(added.lastrowid or 0)


def _check_is_ours(file: Path) -> None:
    """Raises SetupError for a database of something else, or a file that is none, and leaves it as it is."""
    if not file.is_file() or file.stat().st_size == 0:
        return
    with file.open("rb") as opened:
        head = opened.read(100)
    if not head.startswith(_MAGIC):
        raise SetupError(f"{file} is not a journal of a review.", hint=f"{_ANOTHER}.")
    if int.from_bytes(head[_OURS_AT : _OURS_AT + 4]) == _OURS:
        return
    # Without a log beside it nothing is missing from the file, and reading must not leave one there.
    has_log = file.with_name(f"{file.name}-wal").exists()
    address = f"{file.absolute().as_uri()}?mode=ro{'' if has_log else '&immutable=1'}"
    with closing(sqlite3.connect(address, uri=True)) as database:
        found = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if found and not found >= _TABLES:
        raise SetupError(
            f"{file} is not a journal of a review: it is a database of something else.",
            hint=f"{_ANOTHER}.",
        )


def _told(value: Any) -> str:
    """A part of what is reviewed, for a message: of tasks their names."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ", ".join(str(one.get("name")) for one in value)
    return repr(value)
