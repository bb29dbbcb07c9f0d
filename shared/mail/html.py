"""The body of a mail as HTML: the same words as the text, with nothing from outside."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from shared.core import printable
from shared.mail.texts import Content

_FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_COLORS = {"✗": "#b3261e", "!": "#8a5a00", "✓": "#1b6e3c", "": "#3b3b3b"}
"""Mark of the subject -> colour of the bar beside the first sentences."""


def rich(content: Content, *, foot: str) -> str:
    """Return the body as HTML. Every text is escaped; there is no link, image or script."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"></head>'
        f'<body style="margin:0;padding:16px;color:#1d1d1f;font-size:15px;line-height:1.5;{_FONT}">'
        f'<div style="max-width:640px">{"".join(_parts(content, foot))}</div></body></html>'
    )


def _parts(content: Content, foot: str) -> Iterator[str]:
    color = _COLORS[content.mark]
    yield f'<p style="border-left:4px solid {color};padding-left:12px">{_safe(content.lead)}</p>'
    if content.counts:
        yield '<table role="presentation" style="border-collapse:collapse;margin:12px 0">'
        for words, number in content.counts:
            right = "padding:1px 12px 1px 0;text-align:right;font-variant-numeric:tabular-nums"
            yield f'<tr><td style="{right};white-space:nowrap">{number:,}</td>'
            yield f"<td>{_safe(words)}</td></tr>"
        yield "</table>"
    for head, lines in content.groups:
        yield f"<p><strong>{_safe(head)}</strong></p>{_list('ul', lines)}"
    if content.waits:
        yield f"<p>{_safe(content.waits)}</p>"
    if content.todo:
        yield f"<p><strong>What to do</strong></p>{_list('ol', content.todo)}"
    if content.facts:
        yield "<p>"
        yield "<br>".join(f"{_safe(name)}: {_safe(value)}" for name, value in content.facts)
        yield "</p>"
    yield f'<p style="color:#6b6b6b;font-size:13px">{_safe(foot)}</p>'


def _list(tag: str, lines: tuple[str, ...]) -> str:
    items = "".join(f"<li>{_safe(line)}</li>" for line in lines)
    return f'<{tag} style="padding-left:24px">{items}</{tag}>'


def _safe(text: str) -> str:
    return escape(printable(text))
