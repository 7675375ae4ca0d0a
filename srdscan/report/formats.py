"""The report in the forms that other tools read, each from the one document: `--report FORM`, written into `--out`."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from srdscan.measure.state import replace_text
from srdscan.report.attestation import to_statement
from srdscan.report.card import to_card, to_croissant
from srdscan.report.digests import CHECKSUMS, to_checksums
from srdscan.report.github import to_annotations
from srdscan.report.gitlab import to_code_quality
from srdscan.report.junit import to_junit
from srdscan.report.lists import write_keep_list, write_removal_list
from srdscan.report.sarif import to_sarif
from srdscan.report.schema import Report
from srdscan.report.uids import write_uids

FORMS: Final[Mapping[str, tuple[str, Callable[[Report], str]]]] = {
    "sarif": ("results.sarif", to_sarif),
    "junit": ("junit.xml", to_junit),
    "github": ("annotations.txt", to_annotations),
    "gitlab": ("gl-code-quality-report.json", to_code_quality),
    "attestation": ("attestation.json", to_statement),
    "checksums": (CHECKSUMS, to_checksums),
    "croissant": ("croissant-rai.json", to_croissant),
    "card": ("dataset-card.md", to_card),
}
"""Form -> the file's name, and who writes it."""

LISTS: Final[Mapping[str, tuple[str, Callable[[Path, Path], None]]]] = {
    "removal-list": ("removal-list.parquet", write_removal_list),
    "keep-list": ("keep-list.parquet", write_keep_list),
    "datacomp": ("datacomp-uids.npy", write_uids),
}
"""The same of forms that are tables: they are made of samples.parquet."""


def write_reports(folder: Path, names: Iterable[str], report: Report, samples: Path) -> None:
    """Writes the report in some further forms, and takes away what an earlier run left of the others.

    The same report gives the same bytes. An attestation comes with the checksums that it may be about, and is written
    only if a unit was read; what stays only of an audit that saw everything: of another, nothing can be kept.

    Args:
        folder: that gets them.
        names: of `FORMS` and `LISTS`.
        report: the document.
        samples: samples.parquet of the audit.

    Raises:
        ConfigError: DataComp's uids are wanted, and samples have none; all else is written.
    """
    wanted = set(names)
    if "attestation" in wanted:
        wanted.add("checksums")
        wanted -= set() if any(shard.sha256 for shard in report.shards) else {"attestation"}
    if report.verdict not in ("pass", "fail"):
        wanted -= {"keep-list", "datacomp"}
    for name, (file, write) in FORMS.items():
        if name in wanted:
            replace_text(folder / file, write(report))
        else:
            (folder / file).unlink(missing_ok=True)
    for name, (file, write_list) in LISTS.items():
        if name in wanted:
            write_list(samples, folder / file)
        else:
            (folder / file).unlink(missing_ok=True)
