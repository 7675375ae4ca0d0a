"""The baseline: what stands in it, and what it refuses."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

import pytest

from srdscan.decide.baseline import SCHEMA, Accepted, Baseline, as_day, read_baseline, today, write_baseline
from srdscan.decide.fingerprints import of_images, sketch
from srdscan.errors import ConfigError

DAY = datetime.date(2027, 3, 1)
HOSTILE = [
    "!!python/object/apply:os.system [echo]",
    "a: b\n- c: {d: e} # f\n---\n...",
    "\x00\x1b[31m\x85\u2028\ufeff\udcff",
    "::set-output name=x::y",
    "*anchor &anchor 'quote\" | >",
    "word " * 2000,
]


def entry(about: str = "getty images", reason: str = "footer of source X") -> Accepted:
    return Accepted("SRD101", "ab" * 32, reason, DAY, about, 26, "release@example.org")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_written_is_read_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.yaml"
    clean = text.encode("utf-8", "replace").decode()
    write_baseline(path, Baseline((entry(about=clean, reason=clean),)))
    assert read_baseline(path).accepted == (entry(about=clean, reason=clean.strip()),)
    assert path.read_bytes().isascii()
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_one_that_people_can_read(tmp_path: Path) -> None:
    path = tmp_path / "baseline.yaml"
    write_baseline(path, Baseline((entry(),)))
    assert path.read_text(encoding="utf-8").splitlines() == [
        f"schema: {SCHEMA}",
        "accepted:",
        "- code: SRD101",
        f"  fingerprint: {'ab' * 32}",
        "  about: getty images",
        "  samples: 26",
        "  reason: footer of source X",
        "  by: release@example.org",
        "  expires: 2027-03-01",
    ]


def test_only_code_and_fingerprint_say_what_is_accepted() -> None:
    baseline = Baseline((entry(),), DAY)
    assert baseline.state(baseline.entry("SRD101", "ab" * 32)) == "known"
    assert baseline.entry("SRD102", "ab" * 32) is baseline.entry("SRD101", "cd" * 32) is None
    assert baseline.state(None) == "new"
    assert Baseline((entry(),), DAY + datetime.timedelta(days=1)).state(entry()) == "expired"
    assert baseline.resolved([("SRD102", "ab" * 32)]) == (entry(),)


def test_what_is_about_images_is_the_same_while_most_of_them_are(tmp_path: Path) -> None:
    hashes = [hashlib.sha256(b"%d" % n).hexdigest() for n in range(300)]
    first = sketch(hashes[:200])
    accepted = Accepted("SRD201", of_images("SRD201", hashes[:200]), "our logo", DAY, images=first)
    path = tmp_path / "baseline.yaml"
    write_baseline(path, Baseline((accepted,)))
    baseline = read_baseline(path)
    assert baseline.accepted == (accepted,) and len(first) == 64
    for start, end, same in ((0, 200, True), (10, 200, True), (0, 250, True), (0, 60, False), (150, 300, False)):
        there = sketch(hashes[start:end])
        assert (baseline.entry("SRD201", "another", there) == accepted) is same, (start, end)
    assert baseline.entry("SRD202", accepted.fingerprint, first) is None


ENTRY = "schema: srdscan-baseline/1\naccepted:\n- {code: SRD101, fingerprint: ab, reason: r, expires: 2027-03-01}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no baseline: its first line must be `schema: srdscan-baseline/1`"),
        ("schema: srdscan-baseline/2\n", "is no baseline"),
        ("schema: [", "cannot be read as a baseline"),
        ("!!python/object/apply:os.system [echo]", "cannot be read as a baseline"),
        ("schema: srdscan-baseline/1\naccepted: 3\n", "`accepted` must be a list"),
        ("schema: srdscan-baseline/1\naccepted: [3]\n", "entry 1: must be a mapping"),
        (ENTRY.replace("reason: r, ", ""), r"entry 1 \(SRD101\): has no reason"),
        (ENTRY.replace("reason: r", "reason: ' '"), r"entry 1 \(SRD101\): has no reason"),
        (ENTRY.replace(", expires: 2027-03-01", ""), "expires None: must be a day such as 2027-03-01"),
        (ENTRY.replace("2027-03-01", "soon"), "expires 'soon': must be a day"),
        (ENTRY.replace("2027-03-01", "2027-02-31"), "must be a day|cannot be read"),
        (ENTRY.replace("fingerprint: ab", "fingerprint: 7"), "has no fingerprint"),
        (ENTRY.replace("SRD101", "SRD199"), "'SRD199' is no rule's code"),
        (ENTRY.replace("SRD101", "SRD901"), "SRD901 says what the audit could not do, and cannot be accepted"),
        (ENTRY.replace("reason: r", "reason: r, until: x"), "unknown until"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_its_remedy(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "baseline.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        read_baseline(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read as a baseline: No such file"):
        read_baseline(tmp_path / "gone.yaml")


def test_the_day_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1803859200")
    assert today() == DAY == as_day("2027-03-01", "--expires")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "tomorrow")
    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH 'tomorrow'"):
        today()
