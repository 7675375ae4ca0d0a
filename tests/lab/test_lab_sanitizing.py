"""Defences side by side: what a captioner says after each, what the tables hold, what results depend on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from srdscan import scenes
from srdscan.lab.experiment import Experiment, Planned
from srdscan.lab.jobs import Job, Places
from srdscan.lab.kinds.sanitizing import tables
from srdscan.lab.plots import sanitizing as plot_sanitizing
from srdscan.lab.run import run
from srdscan.lab.victims import Attack


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Places:
    folder = tmp_path_factory.mktemp("run")
    scenes.write_shards(folder / "calm", 120, 60, 73)
    scenes.write_shards(folder / "few", 24, 24, 74)
    return Places(str(folder / "calm"), str(folder / "few"), folder / "work")


@pytest.mark.slow
def test_defences_of_the_embedded_captioner_stand_side_by_side(small: Places, tmp_path: Path) -> None:
    attack = Planned(Attack("canary"), paper_steps=6)
    experiment = Experiment("s", "sanitizing", (attack,), victim_shards=1, paper_images=2)
    written = run(experiment, small, tmp_path, 1, lambda text: None)
    assert {path.name for path in written} >= {"s-sanitizing.md", "s-fates.md", "s.png", "s-provenance.json"}
    table = {row["defence"]: row for row in json.loads((tmp_path / "s-sanitizing.json").read_text())}
    assert {"the paper's loop (uniform draws)", "the paper's loop (6 steps)"} < table.keys()
    none, ours, dropped = (table[name] for name in ("none", "srdscan", "drop everything flagged"))
    assert float(none["ASR"]) > 0.9 > 0.1 > float(ours["ASR"])
    assert float(ours["CIDEr triggered"]) > float(none["CIDEr triggered"]) > float(dropped["CIDEr triggered"])
    assert [row["images"] for row in table.values()] == [*["24"] * (len(table) - 2), "2", "2"]
    (fates,) = json.loads((tmp_path / "s-fates.json").read_text())
    shares = [float(fates[name]) for name in ("own caption, trimmed", "the captioner's own", "reference captions")]
    assert sum(shares) == pytest.approx(float(fates["flagged"]), abs=0.002)
    assert float(fates["flagged"]) > 0.9
    assert float(dropped["kept"]) == pytest.approx(1 - float(fates["flagged"]), abs=0.002)
    assert float(none["kept"]) == float(ours["kept"]) == 1
    (kept,) = (folder for folder in small.work.glob("sanitizing-canary-*"))
    rows = {row["defence"]: row for row in json.loads((kept / "result.json").read_text())["rows"]}
    assert rows["none"]["cider undefended"] == pytest.approx(rows["none"]["cider_clean"])


def test_results_depend_on_what_their_kind_reads(small: Places) -> None:
    def identity(kind: str, variant: str | None = None, attack: str = "corner", **options: int) -> dict[str, Any]:
        steps = options.pop("paper_steps", 0)
        planned = Planned(Attack(attack), paper_steps=steps)
        experiment = Experiment("x", kind, (planned,), **options)
        return Job(experiment, None if variant else planned, small, variant).identity()

    plain = identity("sanitizing")
    assert identity("sanitizing", paper_images=3) != plain != identity("sanitizing", paper_steps=3)
    assert identity("sanitizing", steps=3) == plain
    assert identity("sanitizing", photos=3) != plain
    assert identity("sanitizing", photos=3)["photos"] == plain["photos"] != []
    assert identity("detection", paper_images=3, paper_steps=3, steps=3) == identity("detection")
    assert {*identity("detection")} == {"version", "kind", "attack", "rates", "policy", "photos"}
    learned = identity("policy", "all inputs")
    assert identity("policy", "without mask") != learned != identity("policy", "all inputs", steps=3)
    assert identity("policy", "all inputs", attack="sig") != learned
    assert identity("policy", "all inputs", paper_images=3) == learned


def test_attacks_that_did_not_take_have_a_row_and_no_points(tmp_path: Path) -> None:
    row = {"defence": "srdscan", "images": 9, "asr_triggered": 0.0, "asr interval": [0, 0.1], "cider_triggered": 0.6,
           "cider interval": [0.5, 0.7], "cider undefended": 0.5, "bleu4 triggered": 0.2, "kept": 1.0,
           "cider_clean": 0.5, "clean_altered": 0.0, "images_per_s": 9.0}  # fmt: skip
    fates = {"trimmed": 0.1, "repaired": 0.5, "reference": 0.25}
    took = {"asr": 1.0, "rows": [row], "flagged": 0.85, "fates": fates}
    failed = {"asr": 0.25, "rows": []}
    table, repairs = tables({"a": took, "b": failed})
    assert table.rows[0][table.head.index("of clean")] == "120 %"
    assert table.rows[1][:2] == ["b", "the attack did not take, ASR 0.250"]
    assert repairs.rows == [["a", "0.850", "0.100", "0.500", "0.250", "0.000", "0.600"], ["b", *["-"] * 6]]
    assert plot_sanitizing({"b": failed}, tmp_path, "n") == []
    (picture,) = plot_sanitizing({"b": failed, "a": took}, tmp_path, "n")
    assert picture.read_bytes().startswith(b"\x89PNG")
