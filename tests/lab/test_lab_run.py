"""The lab's runner: mixtures are what a plain audit sees, results are kept, tables say what was found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from srdscan import scenes
from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.findings import ablation
from srdscan.lab.experiment import Experiment, ExperimentError, Planned, read_experiment
from srdscan.lab.jobs import Places
from srdscan.lab.kinds import KINDS
from srdscan.lab.metrics import bleu4, bootstrap_mean, cider, cider_each, f1
from srdscan.lab.mixing import continue_from, mix
from srdscan.lab.photos import ONE_CAPTION
from srdscan.lab.run import run
from srdscan.lab.tables import Table
from srdscan.lab.victims import Attack, shipped_captioner
from srdscan.sources.base import Sample
from srdscan.sources.tar import read_shard

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("run")
    scenes.write_shards(made / "clean", 80, 40, 71)
    return made


@pytest.fixture(scope="module")
def detection(folder: Path) -> Path:
    """An experiment on the embedded victim, run; where the work of its only attack lies. The tables are in `out`."""
    experiment = Experiment("small", "detection", (Planned(Attack("canary")),), ((0.1, 1),))
    places = Places(str(folder / "clean"), str(folder / "clean"), folder / "work")
    written = run(experiment, places, folder / "out", 1, lambda text: None)
    assert {path.suffix for path in written} == {".md", ".csv", ".json", ".png"}
    kept = {path: path.stat().st_mtime_ns for path in places.work.rglob("*") if path.is_file()}
    run(experiment, places, folder / "again", 1, lambda text: None)
    assert {path: path.stat().st_mtime_ns for path in places.work.rglob("*") if path.is_file()} == kept
    (work,) = places.work.glob("detection-canary-*")
    return work


def test_an_experiment_runs_once_and_its_tables_hold_every_detector(folder: Path, detection: Path) -> None:
    table = json.loads((folder / "out" / "small-detection.json").read_text())
    assert [row["attack"] for row in table] == ["canary"]
    assert float(table[0]["ASR"]) >= 0.9  # else the rest would prove nothing
    assert float(table[0]["F1"]) > 0.8
    provenance = json.loads((folder / "out" / "small-provenance.json").read_text())
    assert provenance["results"]["canary"]["identity"]["kind"] == "detection"
    assert {"commit", "torch"} <= {*provenance["results"]["canary"]["made with"]} & {*provenance["tables made with"]}
    results = json.loads((detection / "result.json").read_text())
    assert {row["poisoned"] for row in results["rows"]} == {8}
    assert all(0 <= row["f1 low"] <= row["f1"] + 1e-9 <= row["f1 high"] + 2e-9 for row in results["rows"])
    again, first = (folder / name / "small-detection.md" for name in ("again", "out"))
    assert again.read_bytes() == first.read_bytes()


def test_the_audit_of_a_mixture_continues_from_its_copies_and_finds_what_a_plain_audit_finds(
    folder: Path, detection: Path
) -> None:
    """The copies are those of the experiment, audited with its victim."""
    truth = mix(str(folder / "clean"), detection / "poisoned", 0.1, 5, folder / "mixed")
    assert len(truth.poisoned) == 8
    assert json.loads((folder / "mixed" / "truth.json").read_text())["rate"] == 0.1
    originals = {}
    for name, place in (("clean", folder), ("poisoned", detection), ("mixed", folder)):
        for path in sorted((place / name).glob("*.tar")):
            originals |= {(name, s.shard, s.key): s for s in read_shard(str(path)) if isinstance(s, Sample)}
    for (name, shard, key), sample in originals.items():
        if name == "mixed":
            source = originals["poisoned" if (shard, key) in truth.poisoned else "clean", shard, key]
            assert (sample.images[0].data, sample.captions[0].text) == (source.images[0].data, source.captions[0].text)

    config = AuditConfig(
        (str(folder / "mixed"),),
        captioner=str(shipped_captioner()),
        out=folder / "plain",
        pictures=0,
        caption_fields=ONE_CAPTION,
    )
    plain = audit(config)
    config = replace(config, out=folder / "continued")
    continue_from(detection / "audit-clean", detection / "audit-poisoned", truth, config)
    scores = (folder / "continued" / "state" / "scores").glob("*.parquet")
    before = {path: path.stat().st_mtime_ns for path in scores}
    continued = audit(config)
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing was scored again
    assert continued.verdicts.flagged.tolist() == plain.verdicts.flagged.tolist()
    assert plain.verdicts.flagged.sum() >= 8
    for name, part in plain.verdicts.evidence.items():
        if name != ablation.NAME:  # of whose controls, near ties are decided by rounding
            again = continued.verdicts.evidence[name].p_values
            assert np.allclose(np.log(again), np.log(part.p_values), atol=0.05, equal_nan=True), name


def test_where_no_attack_took_there_are_no_decisions_to_compare() -> None:
    (table,) = KINDS["detection"].tables({"a": {"asr": 0.25, "rows": [], "ablations": []}})
    assert table.rows[0][:4] == ["a", "", "0.250", "did not take"]


def test_experiment_files_are_read_strictly(tmp_path: Path) -> None:
    def read(text: str) -> Experiment:
        path = tmp_path / "x.yaml"
        path.write_text(text)
        return read_experiment(path)

    good = read("kind: detection\nattacks: [{trigger: sig, text: hi, epochs: 8}]\nrates: {0.01: 3}\n")
    assert good == Experiment("x", "detection", (Planned(Attack("sig", text="hi"), 8),), ((0.01, 3),))
    canary = read("kind: sanitizing\npaper_images: 7\nattacks: [{trigger: canary, paper_steps: 90}]")
    assert (canary.paper_images, canary.attacks[0].paper_steps, canary.attacks[0].name) == (7, 90, "canary")
    learned = read("kind: policy\nsteps: 64\nphotos: 9\nattacks: [{trigger: canary}]")
    assert (learned.steps, learned.photos) == (64, 9)
    for text, message in (
        ("kind: clean\nsteps: 5", "steps: only policy experiments"),
        ("kind: clean\nphotos: 5", "photos: only sanitizing and policy experiments"),
        ("kind: sanitizing\nphotos: 5\npaper_images: 7\nattacks: [{trigger: sig}]", "no fewer than paper_images"),
        ("kind: retraining\nattacks: [{trigger: sig, paper_steps: 5}]", "paper_steps: only sanitizing experiments"),
        ("kind: sanitizing\nattacks: [{trigger: sig}]\npaper_images: -1", "must not be negative"),
        ("kind: magic", "must be one of detection"),
        ("kind: clean\ncolour: red", "unknown colour"),
        ("kind: detection\nattacks: [{trigger: sig}]", "needs rates"),
        ("kind: detection\nattacks: [{trigger: sig}]\nrates: {2: 1}", "between 0 and 1"),
        ("kind: sanitizing", "names no attacks"),
        ("kind: sanitizing\nattacks: [{trigger: sig}, {trigger: sig, text: hi}]", "share a row"),
        ("kind: sanitizing\nattacks: [{trigger: laser}]", "srdscan poison --list"),
        ("- 1", "must be a mapping"),
        ("kind: [", "cannot be read"),
    ):
        with pytest.raises(ExperimentError, match=message):
            read(text)


def test_the_experiments_of_the_project_can_be_read() -> None:
    files = sorted((Path(__file__).parents[2] / "benchmarks" / "experiments").glob("*.yaml"))
    assert {read_experiment(path).kind for path in files} == set(KINDS)


def test_metrics_agree_with_hand_counts() -> None:
    truth = [["a dog runs on the grass", "a brown dog runs"], ["two men play chess in a park"]]
    assert bleu4(["a dog runs on the grass", "two men play chess in a park"], truth) == pytest.approx(1, abs=1e-6)
    assert bleu4(["cats", "birds"], truth) < 0.01
    captions = ["a dog runs", "men play chess"]
    assert cider_each(captions, truth).mean() == pytest.approx(cider(captions, truth))
    assert cider_each(captions[:1], truth) == pytest.approx(cider_each(captions, truth)[:1])
    assert cider_each(captions[:1], truth) != pytest.approx(cider_each(captions[:1], truth[:1]))
    flags = np.array([True, True, False, False])
    assert f1(flags, np.array([True, False, True, False])) == 0.5
    assert np.isnan(f1(np.zeros(2, dtype=bool), np.zeros(2, dtype=bool)))
    values = np.random.default_rng(0).normal(3, 1, 400)
    low, high = bootstrap_mean(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)


def test_a_table_is_written_three_ways(tmp_path: Path) -> None:
    table = Table("t", ["a", "b"])
    table.add(1, "x, y")
    with pytest.raises(ValueError, match="3 cells under 2 heads"):
        table.add(1, 2, 3)
    table.write(tmp_path)
    assert (tmp_path / "t.md").read_text() == "| a | b |\n| --- | --- |\n| 1 | x, y |\n"
    assert (tmp_path / "t.csv").read_text() == 'a,b\n1,"x, y"\n'
    assert json.loads((tmp_path / "t.json").read_text()) == [{"a": "1", "b": "x, y"}]
