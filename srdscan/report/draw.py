"""The report in all of its forms, drawn from what an audit keeps in RUN: no model and no data set is needed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from srdscan.measure.state import replace_text
from srdscan.report.formats import write_reports
from srdscan.report.html import write_html
from srdscan.report.markdown import to_markdown
from srdscan.report.plots import plots_of
from srdscan.report.schema import Report
from srdscan.report.shown import plotted, shown_pieces, shown_samples

PAGE = "report.html"


def draw(run: Path, report: Report, forms: Iterable[str], out: Path | None = None) -> Path:
    """Writes report.html, summary.md and the further forms; the same run gives the same bytes.

    Args:
        run: the `--out` folder of the audit, with samples.parquet and state/.
        report: its document.
        forms: further forms, as in `report.formats`; others that lie there are taken away.
        out: folder that gets them; None takes the run's own.

    Returns:
        The page.

    Raises:
        ConfigError: the run lacks what the page or a form shows.
    """
    out = out or run
    out.mkdir(parents=True, exist_ok=True)
    samples = shown_samples(run)
    replace_text(out / "summary.md", to_markdown(report, samples))
    write_html(out / PAGE, report, samples, plots_of(report, *plotted(run)), shown_pieces(run))
    write_reports(out, forms, report, run / "samples.parquet")
    return out / PAGE
