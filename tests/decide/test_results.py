"""Results: what accuses a flagged sample, what counts for the gate, and what stays the same wherever it stands."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srdscan.decide import fingerprints
from srdscan.decide.accusations import Elsewhere
from srdscan.decide.baseline import Accepted, Baseline
from srdscan.decide.results import MOST_LOCATIONS, Results, find_results
from srdscan.decide.verdicts import Verdicts, decide
from srdscan.findings.finding import Finding, Found
from srdscan.measure.scores import Scores
from srdscan.rules import severities
from srdscan.signals.base import WHOLE_DATASET, Evidence

COUNT = 40
DAY = datetime.date(2027, 1, 1)
BANANA, PRIZES = list(range(6)), list(range(4, 9))


def scored(folder: Path, order: Sequence[int] = tuple(range(COUNT)), prefix: str = "k", files: int = 2) -> Scores:
    """Score files of samples that are told by a number each, in any order, names and number of files."""
    paths = []
    for number, part in enumerate(np.array_split(np.array(order), files)):
        table = {
            "index": list(range(len(part))),
            "image_index": [0] * len(part),
            "key": [f"{prefix}{place}" for place in range(len(part))],
            "place": [f"{prefix}{place}.txt" for place in range(len(part))],
            "caption": [f"caption {n}" for n in part],
            "image_sha256": [hashlib.sha256(b"%d" % n).hexdigest() for n in part],
        }
        folder.mkdir(exist_ok=True)
        paths.append(folder / f"{number:06d}.parquet")
        pq.write_table(pa.table(table), paths[-1])
    return Scores(tuple(paths), {})


def rows_of(samples: Sequence[int], order: Sequence[int]) -> Any:
    return np.flatnonzero(np.isin(np.array(order), samples))


def found(samples: Sequence[int], order: Sequence[int], finding: Finding) -> Found:
    p_values, rows = np.full(len(order), np.nan), rows_of(samples, order)
    p_values[rows] = 1e-12
    return Found(p_values, p_values, "", weight=WHOLE_DATASET, findings=(finding,), rows=(rows,))


def single(samples: Sequence[int], order: Sequence[int], told: str = "") -> Evidence:
    p_values, rows = np.linspace(0.2, 1, len(order)), rows_of(samples, order)
    p_values[rows] = 1e-9
    return Evidence(p_values, p_values, "", reason=lambda row: told if row in set(rows.tolist()) else "")


def said(term: str, rule: str) -> Finding:
    return Finding(term, "caption", 6, 0, 9.0, "in many captions", rule=rule)


def judged(
    folder: Path,
    order: Sequence[int] = tuple(range(COUNT)),
    evidence: dict[str, Evidence] | None = None,
    ignored: Sequence[str] = (),
    prefix: str = "k",
    files: int = 2,
    **options: Any,
) -> tuple[Results, Verdicts]:
    scores = scored(folder, order, prefix, files)
    if evidence is None:
        evidence = {
            "targets.caption": found(BANANA, order, said("banana", "SRD101")),
            "foreign": found(PRIZES, order, said("free prizes", "SRD104")),
            "drift.caption": single([20, 21], order),
        }
    verdicts = decide(evidence, scores.sample_of, 0.01, ignored)
    units = [f"{prefix}-{number}.tar" for number in range(files)]
    elsewhere = options.pop("elsewhere", Elsewhere())
    return find_results(verdicts, scores, units, 0.01, elsewhere, ignored, **options), verdicts


def accepted(results: Results, *codes: str, expires: datetime.date = DAY) -> Baseline:
    entries = tuple(
        Accepted(result.rule, result.fingerprint, "looked at", expires)
        for result in results.results
        if result.rule in codes
    )
    return Baseline(entries, DAY)


def test_each_flagged_sample_belongs_to_what_accuses_it(tmp_path: Path) -> None:
    results, verdicts = judged(tmp_path)
    assert [(r.rule, r.samples, r.state, r.decides) for r in results.results] == [
        ("SRD101", 6, "new", True),
        ("SRD104", 5, "new", True),
        ("SRD301", 2, "new", True),
    ]
    assert results.counted == verdicts.flagged_samples == 11
    assert results.rules[4] == ("SRD101", "SRD104") and results.rules[20] == ("SRD301",)
    assert set(results.rules) == set(np.flatnonzero(verdicts.flagged))
    assert results.results[2].locations[0].shard == "k-1.tar" and results.results[2].locations[0].key == "k0"
    assert "drift.caption 2" in results.results[2].message


def test_samples_that_only_a_known_finding_accuses_are_known(tmp_path: Path) -> None:
    first, _ = judged(tmp_path)
    results, verdicts = judged(tmp_path, baseline=accepted(first, "SRD101"))
    assert [(r.rule, r.state, r.decides) for r in results.results[:2]] == [
        ("SRD101", "known", False),
        ("SRD104", "new", True),
    ]
    assert results.counted == 7, "samples 4 and 5 are accused by what is new, too"
    assert verdicts.flagged_samples == 11, "what is known stays flagged"
    assert results.results[0].reason == "looked at" and results.results[0].expires == "2027-01-01"


def test_a_known_finding_that_has_grown_says_so(tmp_path: Path) -> None:
    first, _ = judged(tmp_path)
    for samples, grown in ((2, True), (6, False), (0, False)):
        entry = Accepted("SRD101", first.results[0].fingerprint, "looked at", DAY, samples=samples)
        results, _ = judged(tmp_path, baseline=Baseline((entry,), DAY))
        assert results.results[0].state == "known"
        assert results.results[0].message.endswith("; 6 samples, 2 when it was accepted") is grown


def test_an_acceptance_holds_up_to_its_last_day(tmp_path: Path) -> None:
    first, _ = judged(tmp_path)
    for expires, state in ((DAY, "known"), (DAY - datetime.timedelta(days=1), "expired")):
        results, _ = judged(tmp_path, baseline=accepted(first, "SRD101", "SRD104", expires=expires))
        assert {r.state for r in results.results[:2]} == {state}
        assert results.counted == (2 if state == "known" else 11)


def test_what_is_accepted_and_not_found_is_resolved(tmp_path: Path) -> None:
    first, _ = judged(tmp_path)
    baseline = accepted(first, "SRD101", "SRD104")
    order = tuple(range(COUNT))
    results, _ = judged(
        tmp_path, evidence={"foreign": found(PRIZES, order, said("free prizes", "SRD104"))}, baseline=baseline
    )
    assert [entry.code for entry in results.resolved] == ["SRD101"]


def test_samples_are_accepted_one_by_one(tmp_path: Path) -> None:
    order = tuple(range(COUNT))
    known = Accepted(
        "SRD301", fingerprints.of_sample("SRD301", hashlib.sha256(b"20").hexdigest(), "caption 20"), "a drawing", DAY
    )
    results, _ = judged(tmp_path, evidence={"drift.caption": single([20, 21], order)}, baseline=Baseline((known,), DAY))
    assert [(r.state, r.samples, r.decides) for r in results.results] == [("known", 1, False), ("new", 1, True)]
    assert results.counted == 1
    assert len({r.fingerprint for r in results.results}) == 2


def test_fingerprints_do_not_depend_on_shards_names_or_order(tmp_path: Path) -> None:
    images = np.arange(3, 9)
    spot = Finding("spot 1", "image", 6, 0, 0.0, "the same piece of picture", rule="SRD201")

    def of(order: Sequence[int], name: str, files: int) -> list[tuple[str, str]]:
        elsewhere = Elsewhere([(spot, rows_of(images, order))])
        results, _ = judged(tmp_path / name, order, prefix=name, files=files, elsewhere=elsewhere)
        return [(result.rule, result.fingerprint) for result in results.results]

    first = of(tuple(range(COUNT)), "a", 2)
    assert len(first) == 4
    assert of(np.random.default_rng(1).permutation(COUNT).tolist(), "other", 5) == first


def test_a_term_is_the_same_however_it_is_written() -> None:
    same = {fingerprints.of_term("SRD101", text) for text in ("free prizes", "Free  Prizes.", "ｆree\u200b prizes")}
    assert len(same) == 1
    others = [("SRD104", "free prizes", ""), ("SRD101", "free prize", ""), ("SRD101", "free prizes", "dog")]
    assert not same & {fingerprints.of_term(*other) for other in others}
    assert fingerprints.of_sample("SRD301", "ab", "c") != fingerprints.of_sample("SRD301", "a", "bc")
    assert fingerprints.of_sample("SRD301", "ab", "\udcff")  # a half surrogate


def test_what_is_ignored_decides_nothing_and_is_reported(tmp_path: Path) -> None:
    results, verdicts = judged(tmp_path, ignored=["SRD101"])
    assert [(r.rule, r.state, r.samples, r.decides) for r in results.results] == [
        ("SRD104", "new", 5, True),
        ("SRD301", "new", 2, True),
        ("SRD101", "ignored", 6, False),
    ]
    assert verdicts.flagged_samples == results.counted == 7
    assert verdicts.evidence["targets.caption"].abstained
    assert not any(finding.term == "banana" for finding in verdicts.findings)


def test_what_is_measured_on_single_samples_can_be_ignored_as_a_whole(tmp_path: Path) -> None:
    results, verdicts = judged(tmp_path, ignored=["SRD301"])
    assert [(r.rule, r.state, r.samples) for r in results.results] == [
        ("SRD101", "new", 6),
        ("SRD104", "new", 5),
        ("SRD301", "ignored", 2),
    ]
    assert results.counted == verdicts.flagged_samples == 9


def test_a_note_is_shown_and_fails_no_gate(tmp_path: Path) -> None:
    results, verdicts = judged(tmp_path, levels=severities({"SRD301": "note", "SRD101": "note"}))
    assert [(r.rule, r.severity, r.decides) for r in results.results] == [
        ("SRD101", "note", False),
        ("SRD104", "error", True),
        ("SRD301", "note", False),
    ]
    assert results.counted == 5 and verdicts.flagged_samples == 11


def test_what_a_covered_patch_gives_away_has_a_rule_of_its_own(tmp_path: Path) -> None:
    order = tuple(range(COUNT))
    told = "with its attention peak covered, the captioner says 'a dog'"
    results, _ = judged(tmp_path, evidence={"attention": single([1], order), "ablation": single([2], order, told)})
    assert {(r.rule, r.samples) for r in results.results} == {("SRD301", 1), ("SRD302", 1)}


def test_captions_of_other_images_are_one_finding(tmp_path: Path) -> None:
    order = tuple(range(COUNT))
    p_values = np.full(COUNT, np.nan)
    p_values[[3, 4, 5]] = 1e-8
    note = "7.5% of the captions have nothing to do with their images"
    agreement = Evidence(p_values, p_values, note, weight=WHOLE_DATASET)
    results, _ = judged(tmp_path, evidence={"agreement": agreement, "drift.caption": single([], order)})
    assert [(r.rule, r.samples, r.message) for r in results.results] == [("SRD203", 3, note)]


def test_a_piece_of_picture_accuses_only_where_its_evidence_does(tmp_path: Path) -> None:
    order = tuple(range(COUNT))
    spot = Finding("spot 1", "image", 5, 0, 0.0, "the same piece of picture", rule="SRD201")
    images = np.arange(8)
    evidence: dict[str, Evidence] = {"targets.caption": found(BANANA, order, said("banana", "SRD101"))}
    results, _ = judged(tmp_path, evidence=dict(evidence), elsewhere=Elsewhere([(spot, images)]))
    assert [(r.rule, r.decides, r.samples) for r in results.results] == [("SRD101", True, 6), ("SRD201", False, 5)]
    evidence["spots"] = found(images.tolist(), order, spot)
    evidence["spots"] = Evidence(evidence["spots"].p_values, evidence["spots"].values, weight=WHOLE_DATASET)
    results, _ = judged(tmp_path, evidence=dict(evidence), elsewhere=Elsewhere([(spot, images)]))
    assert [(r.rule, r.decides, r.samples) for r in results.results] == [("SRD101", True, 6), ("SRD201", True, 8)]
    assert results.counted == 8
    known, _ = judged(
        tmp_path,
        evidence=dict(evidence),
        elsewhere=Elsewhere([(spot, images)]),
        baseline=accepted(results, "SRD101"),
    )
    assert known.counted == 2, "samples 6 and 7, which the piece alone accuses"
    evidence["targets.caption"] = found(list(range(8)), order, said("banana", "SRD101"))
    results, _ = judged(tmp_path, evidence=dict(evidence), elsewhere=Elsewhere([(spot, images)]))
    assert [(r.rule, r.decides) for r in results.results] == [("SRD101", True), ("SRD201", False)]


def test_what_two_searches_find_is_one_result_unless_the_second_accuses_others(tmp_path: Path) -> None:
    order = tuple(range(COUNT))
    evidence: dict[str, Evidence] = {"targets.caption": found(BANANA, order, said("banana", "SRD101"))}
    evidence["foreign"] = found(BANANA[:4], order, said("banana", "SRD104"))
    results, _ = judged(tmp_path, evidence=dict(evidence))
    assert [r.rule for r in results.results] == ["SRD101"]
    evidence["foreign"] = found([*BANANA, 30], order, said("banana", "SRD104"))
    results, _ = judged(tmp_path, evidence=dict(evidence))
    assert [r.rule for r in results.results] == ["SRD101", "SRD104"]


def test_a_finding_with_an_unknown_code_is_refused(tmp_path: Path) -> None:
    order = tuple(range(COUNT))
    for code in ("", "SRD199"):
        with pytest.raises(ValueError, match=f"'banana' has the code '{code}', which is no rule's"):
            judged(tmp_path, evidence={"targets.caption": found(BANANA, order, said("banana", code))})


def test_a_hundred_locations_are_kept(tmp_path: Path) -> None:
    order = tuple(range(400))
    results, _ = judged(tmp_path, order, {"foreign": found(list(range(150)), order, said("banana", "SRD104"))})
    assert len(results.results[0].locations) == MOST_LOCATIONS == 100
    assert results.results[0].samples == 150


def test_nothing_flagged_leaves_no_result(tmp_path: Path) -> None:
    results, _ = judged(tmp_path, evidence={"drift.caption": single([], tuple(range(COUNT)))})
    assert results == Results()
