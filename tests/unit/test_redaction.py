"""What messages quote: one line of an error, and URIs without their credentials."""

import pytest

from sparklabel.redaction import first_line, without_credentials


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n no such file\nTraceback ..."), "no such file"),
        (ValueError(), "ValueError"),
        (ValueError(" \n"), "ValueError"),
        ("a text\nand more", "a text"),
        ("\x1b[2Jgone \u202eback", "\\x1b[2Jgone \\u202eback"),
    ],
)
def test_an_error_is_quoted_by_its_first_line_or_by_its_class(error, line):
    assert first_line(error) == line


@pytest.mark.parametrize("longest", [300, 301])
def test_a_long_line_keeps_its_two_ends_and_its_limit(longest):
    line = first_line(OSError(f"Source {'x' * 1000} must be a directory"), longest=longest)
    assert len(line) == longest
    assert line.startswith("Source xxx")
    assert line.endswith("xxx must be a directory")
    assert first_line("x" * longest, longest=longest) == "x" * longest


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://me:secret@host:5000/api", "http://host:5000/api"),
        ("postgresql+psycopg2://me:se@cr/et?x@host/db", "postgresql+psycopg2://host/db"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db"),
        ("https://token@host", "https://host"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("mlruns", "mlruns"),
    ],
)
def test_a_uri_is_shown_without_its_credentials(uri, shown):
    assert without_credentials(uri) == shown
