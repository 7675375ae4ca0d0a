"""The report in the forms that other tools read, each from the one document: `--report FORM`, written into `--out`."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from srdscan.measure.state import replace_text
from srdscan.report.github import to_annotations
from srdscan.report.gitlab import to_code_quality
from srdscan.report.junit import to_junit
from srdscan.report.sarif import to_sarif
from srdscan.report.schema import Report

FORMS: Final[Mapping[str, tuple[str, Callable[[Report], str]]]] = {
    "sarif": ("results.sarif", to_sarif),
    "junit": ("junit.xml", to_junit),
    "github": ("annotations.txt", to_annotations),
    "gitlab": ("gl-code-quality-report.json", to_code_quality),
}
"""Form -> the file's name, and who writes it."""


def write_reports(folder: Path, names: Iterable[str], report: Report) -> None:
    """Writes the report in some further forms, and takes away what an earlier run left of the others.

    The same report gives the same bytes.
    """
    wanted = set(names)
    for name, (file, write) in FORMS.items():
        if name in wanted:
            replace_text(folder / file, write(report))
        else:
            (folder / file).unlink(missing_ok=True)
