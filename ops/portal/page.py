"""The page's HTML: ids, names, texts and hidden fields as on the real one. Pure."""

from collections.abc import Sequence
from html import escape

PREFIX = "ctl00$MainContentHolder$"
SINGLE_PERIOD = "ReportingSeriesSinglePeriod"
# Texts and values of the real list.
PRODUCTS = {
    SINGLE_PERIOD: "Call Reports -- Single Period",
    "ReportingSeriesSubsetSchedulesFourPeriods": (
        "Call Reports -- Balance Sheet, Income Statement, Past Due -- Four Periods"
    ),
    "PerformanceReportingSeriesSinglePeriod": "UBPR Ratio -- Single Period",
    "PerformanceReportingSeriesFourPeriods": "UBPR Ratio -- Four Periods",
    "PerformanceReportingSeriesRank": "UBPR Rank -- Four Periods",
    "PerformanceReportingSeriesStats": "UBPR Stats -- Four Periods",
}
FORMATS = {
    "TSVRadioButton": "Tab Delimited",
    # The small b is the site's.
    "XBRLRadiobutton": "eXtensible Business Reporting Language (XBRL)",
}
_STYLE = """
body{font:16px/1.5 Arial,sans-serif;margin:0;color:#1b3a57}
header{background:#12344d;color:#fff;padding:1rem 2rem}
main{padding:1rem 2rem;max-width:60rem}
select{font:inherit;width:100%;border:1px solid #4da0c8}
.note{background:#f4f4f4;border-left:8px solid #ccc;padding:.6rem 2rem}
"""


def download_page(
    *,
    product: str | None,
    dates: Sequence[tuple[str, str]],
    chosen_format: str,
    view_state: str,
    missing: str = "",
) -> str:
    """Return the page; `dates` are (value, text) pairs, `missing` is a control to leave out."""
    controls = {
        "ListBox1": _products(product),
        "DatesDropDownList": _dates(dates) if product else "",
        **{name: _radio(name, text, chosen_format) for name, text in FORMATS.items()},
        "Download_0": (
            f'<input type="submit" name="{PREFIX}TabStrip1$Download_0" value="Download" '
            'id="Download_0">'
        ),
    }
    shown = {name: "" if name == missing else html for name, html in controls.items()}
    body = f"""
<form method="post" action="./downloadbulkdata.aspx" id="aspnetForm">
{_hidden("__EVENTTARGET", "")}{_hidden("__EVENTARGUMENT", "")}{_hidden("__LASTFOCUS", "")}
{_hidden("__VIEWSTATE", view_state)}{_hidden("__VIEWSTATEGENERATOR", "CA0B0334")}
{_hidden("__EVENTVALIDATION", view_state[::-1])}
<script>
function __doPostBack(target, argument) {{
  var form = document.getElementById('aspnetForm');
  form.__EVENTTARGET.value = target; form.__EVENTARGUMENT.value = argument; form.submit();
}}
</script>
<h2>Available Products</h2>
<h3>Note: These products are for All Commercial Banks.</h3>
<p class="note">A stand-in by Quarry for tests and demonstrations.</p>
{shown["ListBox1"]}
<h2>Reporting Period End Date</h2>
{shown["DatesDropDownList"]}
<h2>Available File Formats</h2>
{shown["TSVRadioButton"]}{shown["XBRLRadiobutton"]}
<h2>Download</h2>
{shown["Download_0"]}
</form>"""
    return _page("Bulk Data Download", body)


def error_page() -> str:
    """Return what ASP.NET shows when it cannot make sense of a request."""
    return _page(
        "Runtime Error",
        "<h2>Server Error in '/public' Application.</h2><p>An application error occurred.</p>",
    )


def _page(title: str, body: str) -> str:
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><header><h1>Central Data Repository's Public Data "
        f"Distribution</h1></header><main>{body}</main></body></html>"
    )


def _products(product: str | None) -> str:
    options = "".join(_option(value, text, value == product) for value, text in PRODUCTS.items())
    name = f"{PREFIX}ListBox1"
    back = f"javascript:setTimeout('__doPostBack(\\'{name}\\',\\'\\')', 0)"
    return f'<select size="6" name="{name}" id="ListBox1" onchange="{back}">{options}</select>'


def _dates(dates: Sequence[tuple[str, str]]) -> str:
    options = "".join(
        _option(value, text, position == 0) for position, (value, text) in enumerate(dates)
    )
    return f'<select name="{PREFIX}DatesDropDownList" id="DatesDropDownList">{options}</select>'


def _radio(name: str, text: str, chosen: str) -> str:
    checked = ' checked="checked"' if name == chosen else ""
    return (
        f'<p><input id="{name}" type="radio" name="{PREFIX}FormatType" value="{name}"{checked}>'
        f'<label for="{name}">{escape(text)}</label></p>'
    )


def _option(value: str, text: str, selected: bool) -> str:
    mark = ' selected="selected"' if selected else ""
    return f'<option{mark} value="{escape(value)}">{escape(text)}</option>'


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" id="{name}" value="{escape(value)}">'
