"""A benchmark as one HTML page that needs no other file and no network."""

import html
from collections.abc import Mapping, Sequence

from sparklabel.benchmarking.cells import Cell
from sparklabel.benchmarking.report import table_rows
from sparklabel.benchmarking.suite import DataSet
from sparklabel.redaction import printable

_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse;font-size:13px}th,td{text-align:right;padding:.2rem .6rem;"
    "border-bottom:1px solid #d0d7de;font-variant-numeric:tabular-nums}td:nth-child(-n+2),th:nth-child(-n+2)"
    "{text-align:left}td.error{text-align:left;color:#cf222e}svg{max-width:100%;height:auto}"
)
_CHARTS = {
    "quality.svg": "Quality by data set, with 95% intervals",
    "gain.svg": "What answers add",
    "learning.svg": "Quality by the number of answers",
}


def html_page(
    title: str, cells: Sequence[Cell], sets: Mapping[str, DataSet], charts: Mapping[str, bytes]
) -> str:
    """The page: charts, the table, where the rows are from, and figures of others with their sources."""
    drawn = "".join(
        f'<figure role="img" aria-label="{html.escape(says)}">{_inline(charts[name])}</figure>'
        for name, says in _CHARTS.items()
        if name in charts
    )
    columns, rows = table_rows(cells)
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(_row(cell, texts, len(columns)) for cell, texts in zip(cells, rows, strict=True))
    origins = "".join(
        f"<li>{_text(name)}: {_text(one.source or one.table or '-')}"
        + (f", {_text(one.license)}" if one.license else "")
        + "".join(
            f"; {_text(model)} {figure.value:g} {_text(figure.metric or one.metric)} ({_text(figure.source)})"
            for model, figure in one.published.items()
        )
        + "</li>"
        for name, one in sets.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_text(title)}</title><style>{_STYLE}</style>'
        f"<h1>{_text(title)}</h1>{drawn}<h2>Figures</h2><p>Test rows that no model learned from; rows/s without "
        f"loading the model, on the machine that measured.</p><table><thead><tr>{head}</tr></thead><tbody>{body}"
        f"</tbody></table><h2>Data sets</h2><ul>{origins}</ul></html>\n"
    )


def _row(cell: Cell, texts: Sequence[str], columns: int) -> str:
    if cell.value is not None:
        return "<tr>" + "".join(f"<td>{_text(text)}</td>" for text in texts) + "</tr>"
    known = "".join(f"<td>{_text(text)}</td>" for text in texts[:4])
    return f'<tr>{known}<td class="error" colspan="{columns - 4}">{_text(cell.error)}</td></tr>'


def _inline(drawn: bytes) -> str:
    text = drawn.decode()
    return text[text.index("<svg") :]


def _text(value: str) -> str:
    return html.escape(printable(value))
