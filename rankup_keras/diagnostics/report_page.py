"""The frame of the report: one HTML file with its style inside."""

import html
from collections.abc import Iterable, Sequence

_STYLE = """
:root{--ink:#1b1f24;--soft:#59636e;--line:#d8dee4;--card:#fff;--back:#f4f6f8;--bad:#b3261e;
--good:#1a7f37;--note:#31688e}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa5b1;--line:#353c45;
--card:#1a1f26;--back:#10141a;--bad:#ff8a80;--good:#57d37d;--note:#7db8dd}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
header,main{max-width:1240px;margin:0 auto;padding:0 18px}
header{padding-top:22px}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 4px}
h2{font-size:1.02rem;margin:0 0 2px}
h3{font-size:.85rem;font-weight:600;margin:8px 0 0;overflow-wrap:anywhere}
p{margin:4px 0 10px}
.soft{color:var(--soft);font-size:.86rem}
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:14px;
padding-top:12px;padding-bottom:40px}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px 16px;
min-width:0}
.wide{grid-column:1/-1}
svg{display:block;width:100%;height:auto;max-width:640px;margin:0 auto}
svg text{font-family:inherit!important}
.small{display:grid;gap:8px 14px;
grid-template-columns:repeat(auto-fill,minmax(min(100%,260px),1fr))}
.small svg{max-width:380px;margin:0}
.broad svg{max-width:none}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{padding:4px 10px 4px 0;text-align:right;white-space:nowrap;
border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--card)}
.words th,.words td{text-align:left;white-space:normal;vertical-align:top}
.words td:last-child{overflow-wrap:anywhere}
th{color:var(--soft);font-weight:600;vertical-align:bottom}
ul.insights{list-style:none;margin:8px 0 0;padding:0}
ul.insights li{padding:6px 0 6px 12px;border-left:4px solid var(--note);margin-bottom:8px}
ul.insights li.problem{border-color:var(--bad)}
ul.insights li.good{border-color:var(--good)}
ul.insights b{margin-right:4px}
@media (max-width:560px){section{overflow-x:auto}section>svg{min-width:540px}}
@media print{section{break-inside:avoid}}
"""


def page(title: str, subtitle: str, cards: Iterable[str]) -> str:
    """The whole page.

    Args:
        title: Heading, plain text.
        subtitle: Line under it, plain text.
        cards: Sections, as HTML.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        # Without it a browser asks for a favicon, and a file server answers 404.
        '<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style></head>\n"
        f'<body><header><h1>{html.escape(title)}</h1><p class="soft">{html.escape(subtitle)}</p>'
        f"</header>\n<main>\n{chr(10).join(cards)}\n</main></body></html>\n"
    )


def card(heading: str, note: str, body: str, wide: bool = False) -> str:
    """A section of the page.

    Args:
        heading: Plain text.
        note: What is shown and in what unit, plain text; empty for none.
        body: HTML.
        wide: Whether it takes the page's whole width.
    """
    extra = ' class="wide"' if wide else ""
    under = f'<p class="soft">{html.escape(note)}</p>' if note else ""
    return f"<section{extra}><h2>{html.escape(heading)}</h2>{under}{body}</section>"


def table(rows: Sequence[Sequence[str]], words: bool = False) -> str:
    """A table whose first row is its head.

    Args:
        rows: Plain text.
        words: Whether it holds words, which wrap where a page is narrow, rather than numbers.
    """
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
    lines = [
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows[1:]
    ]
    kind = ' class="words"' if words else ""
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
