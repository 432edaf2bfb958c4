"""SQL text: quoted names and string literals. In: Python strings. Out: SQL that means exactly these."""

from collections.abc import Sequence

from sparklabel.errors import ColumnError


def quote(name: str) -> str:
    """A quoted column name, whatever characters it contains.

    Raises ColumnError for `${`: Spark would replace `${env:NAME}` in a statement by what the driver's environment
    holds, and between backticks nothing can be escaped.
    """
    if "${" in name:
        raise ColumnError(
            f"Spark would replace what follows ${{ in the name {name!r}.",
            hint="Rename it, or label a view that names it otherwise.",
        )
    return "`" + name.replace("`", "``") + "`"


def sql_string(text: str) -> str:
    """A SQL string literal. Spark would replace `${env:NAME}` in a statement by what the driver's environment holds."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("${", "$\\u007b")
    return f"'{escaped}'"


def sql_list(texts: Sequence[str]) -> str:
    """SQL string literals, separated by commas, as IN takes them."""
    return ", ".join(map(sql_string, texts))
