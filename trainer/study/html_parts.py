"""What the report's pages are made of: the page itself, tables, figures, numbers with their intervals. HTML as text.

Pages are self-contained: HTML, CSS and SVG without a script, light or dark as the reader has it.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from shared.study import Estimate

STYLE: Final = Path(__file__).with_name("report.css")
METRIC_TITLES: Final = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "weighted_f1": "weighted F1",
    "macro_auc": "macro AUC",
    "micro_auc": "micro AUC",
    "weighted_auc": "weighted AUC",
    "macro_ap": "macro AP",
}
"""The figures of a cell, as headings."""


def document(title: str, body: Sequence[str]) -> str:
    """Return a page with this heading: HTML that needs no other file.

    Args:
        title: as text.
        body: what follows the heading, as HTML.
    """
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            *body,
            "</main></body></html>",
        ]
    )


def figure(title: str, content: str) -> str:
    """Return a drawing with its title, both HTML."""
    return f"<figure><figcaption>{title}</figcaption>{content}</figure>"


def folded(summary: str, content: str, anchor: str | None = None) -> str:
    """Return what opens on a click on `summary`, or where a link leads to `anchor`."""
    # Browsers open what is folded where the target lies in it, not where it is the target.
    inside = f"<div id='{anchor}'>{content}</div>" if anchor else content
    return f"<details><summary>{summary}</summary>{inside}</details>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Return a table, cells HTML, the first of each row its heading.

    Args:
        head: a heading for each column.
        rows: as many cells each.
        kind: a CSS class.
    """
    top = "".join(f"<th scope='col'>{cell}</th>" for cell in head)
    body = "".join(
        f"<tr><th scope='row'>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in rows
    )
    named = f" class='{kind}'" if kind else ""
    return f"<div class='wide'><table{named}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def percent(estimate: Estimate | None) -> str:
    """Return a share in per cent with its interval below; a dash for none."""
    if estimate is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return _hundredths(estimate.value)
    return f"{_hundredths(estimate.value)}<small>{_hundredths(estimate.low)} to {_hundredths(estimate.high)}</small>"


def _hundredths(value: float) -> str:
    return f"{round(value * 100, 1) + 0.0:.1f}"  # no minus before 0
