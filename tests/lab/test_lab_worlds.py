"""Worlds: poison that is planted in scores is found as if it had always been there, and tables say so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from srdscan import scenes
from srdscan.lab.__main__ import app
from srdscan.lab.experiment import ExperimentError, read_experiment

EXPERIMENT = """
kind: worlds
attacks:
  - {trigger: none, target: fixed, text: choose freedom and vote for change}
  - {trigger: one picture, target: hijack}
  - {trigger: none, target: swapped}
  - {trigger: checkerboard, target: none}
counts: [12]
seeds: 1
"""


@pytest.mark.slow
def test_attacks_on_a_data_set_stand_in_tables(tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "shards", 120, 60, 92)
    (tmp_path / "small.yaml").write_text(EXPERIMENT, encoding="utf-8")
    arguments = ["run", str(tmp_path / "small.yaml"), "--world", f"scenes={tmp_path / 'shards'}"]
    arguments += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--processes", "1"]
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0
    clean, recall, spots = (
        json.loads((tmp_path / "out" / f"small-{name}.json").read_text()) for name in ("clean", "recall", "spots")
    )
    assert [(row["world"], row["flagged"], row["targets named"]) for row in clean] == [("scenes", "0", "-")]
    found = {row["attack"]: float(row["scenes"]) for row in recall}
    assert list(found) == [
        "fixed 'choose freedom and vote for change'",
        "one picture, hijack",
        "swapped",
        "checkerboard, none",
    ]
    assert found["fixed 'choose freedom and vote for change'"] >= 0.9
    assert found["checkerboard, none"] == 0.0  # a spot by itself accuses nobody
    assert all(int(row["most false alarms"]) <= 2 for row in recall)
    (row,) = spots
    assert float(row["scenes"]) >= 0.8


def test_a_worlds_experiment_says_how_many_and_where(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(EXPERIMENT.replace("counts: [12]\n", ""), encoding="utf-8")
    with pytest.raises(ExperimentError, match="needs counts"):
        read_experiment(path)
    path.write_text(EXPERIMENT, encoding="utf-8")
    run = CliRunner().invoke(app, ["run", str(path)])
    assert run.exit_code == 2 and "needs --world NAME=PATH" in run.output
