"""SQL text: quoted names and string literals."""

from collections.abc import Sequence


def quote(name: str) -> str:
    """A column name as SQL takes it, whatever characters it has."""
    return "`" + name.replace("`", "``") + "`"


def sql_string(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def sql_list(texts: Sequence[str]) -> str:
    """SQL string literals as IN takes them."""
    return ", ".join(map(sql_string, texts))
