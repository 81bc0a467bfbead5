"""Statistics as a page: one HTML file with charts and tables, for a screen of any width, light or dark, and for print.

The page has no script, and its content policy allows its own style only (decision 221). Foreign text is escaped.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING

from authctl import svg_charts
from authctl.charts import Chart, charts

if TYPE_CHECKING:
    from authctl.model import Statistics

MARK = "<!doctype html>\n<!-- written by authctl stats -->\n"
"""The beginning of each page."""

_MOST_NAMES = 20
_DEFINITIONS = (
    "Each session counts once as a sign-in, on the day on which it was created. If it is over, it counts once more: as a "
    "revocation if it is revoked, otherwise as an end. Sessions that cleanup removed are not counted. Days are UTC days; "
    "today, which is not over, is lighter."
)
_STYLE = """
:root{color-scheme:light dark;--ground:#fff;--text:#1b1f24;--soft:#59636e;--line:#d1d9e0;--track:#eef1f4;--bar:#0b63c5}
@media (prefers-color-scheme:dark){:root{--ground:#14181d;--text:#e6ebf0;--soft:#9aa6b2;--line:#39424c;--track:#232a32;--bar:#66aaff}}
@media print{:root{--ground:#fff;--text:#000;--soft:#333;--line:#999;--track:#eee;--bar:#0b63c5}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1rem;background:var(--ground);color:var(--text);font:1rem/1.45 system-ui,sans-serif}
h1{font-size:1.4rem;margin:0}
h2{font-size:1.1rem;margin:0}
p{margin:.3rem 0 .8rem;color:var(--soft)}
section{border-top:1px solid var(--line);margin-top:1.5rem;padding-top:1rem}
.sides{display:grid;gap:1rem 2.5rem;align-items:start}
@media (min-width:48rem){.sides{grid-template-columns:minmax(0,3fr) minmax(0,2fr)}}
svg{display:block;font-size:13px;overflow:visible}
svg text{fill:var(--text)}
svg .number{text-anchor:end}
svg .day{text-anchor:middle;font-size:11px}
.track{fill:var(--track)}
.bar{fill:var(--bar)}
.part{opacity:.55}
.base{fill:var(--line)}
table{border-collapse:collapse;width:100%;font-size:.875rem}
caption{text-align:left;color:var(--soft);padding-bottom:.2rem}
th,td{text-align:left;font-weight:normal;padding:.15rem .5rem .15rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
thead th{color:var(--soft)}
td,thead th:last-child{text-align:right;padding-right:0;white-space:nowrap;font-variant-numeric:tabular-nums}
@media print{html{font-size:9pt}body{max-width:none;padding:0}th,td{padding-top:0;padding-bottom:0}section,tr{break-inside:avoid}
.sides{grid-template-columns:minmax(0,3fr) minmax(0,2fr)}.bar,.track,.base{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def page(statistics: "Statistics") -> str:
    """The whole page."""
    drawn = charts(statistics, _MOST_NAMES)
    digest = b64encode(sha256(_STYLE.encode()).digest()).decode()
    sections = (
        *_sections(drawn.by_name, "names", svg_charts.rows),
        *_sections(drawn.past, "days", svg_charts.columns),
        *_sections([drawn.future], "future", svg_charts.columns),
    )
    return (
        f'{MARK}<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{digest}'\">"
        f"<title>Sessions: {escape(drawn.heading)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main><h1>Sessions</h1><p>{escape(drawn.heading)}</p><p>{escape(_DEFINITIONS)}</p>\n"
        f"{''.join(sections)}</main></body></html>\n"
    )


def _sections(charts_of_kind: Iterable[Chart], kind: str, draw: Callable[[Chart, str], str]) -> Iterator[str]:
    for number, chart in enumerate(charts_of_kind):
        name = f"{kind}-{number}"
        yield (
            f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(chart.title)}</h2><p>{escape(chart.meaning)}</p>'
            f'<div class="sides"><div>{draw(chart, name)}</div>{_table(chart)}</div></section>\n'
        )


def _table(chart: Chart) -> str:
    rows = (
        f'<tr><th scope="row">{escape(bar.label)}{" (today)" * bar.is_part}</th><td>{bar.number:,}</td></tr>'
        for bar in chart.bars
    )
    return (
        f"<table><caption>{escape(chart.title)}: {chart.total:,}</caption>"
        f'<thead><tr><th scope="col">{escape(chart.unit)}</th><th scope="col">sessions</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
