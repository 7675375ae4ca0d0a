"""Verdicts: signals judge score files, their p-values are combined, reasons come strongest first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srdscan.decide.verdicts import decide, of_pairs
from srdscan.measure.scores import Scores, join_columns, write_table
from srdscan.signals import SIGNALS, Evidence, signals_for
from srdscan.signals.base import WHOLE_DATASET, abstain
from srdscan.stats.p_values import conformal_p, empirical_p

NAN = float("nan")


def written(path: Path, **columns: object) -> Scores:
    write_table(join_columns([columns]), path)
    return Scores((path,), {})


def evidence(p_values: list[float], reasons: dict[int, str] | None = None) -> Evidence:
    p = np.array(p_values)
    return Evidence(p, -np.log(p), reason=lambda index: (reasons or {}).get(index, ""))


def test_score_files_come_back_as_they_were_written(tmp_path: Path) -> None:
    lists = [np.array([1.0, 2.0], dtype=np.float32), np.zeros(0, dtype=np.float32), np.array([3.0], dtype=np.float32)]
    halves = [np.arange(6, dtype=np.float16).reshape(3, 2), np.arange(4, dtype=np.float16).reshape(2, 2)]
    first = {"key": ["a", "b", "ü"], "x": np.array([1.0, NAN, 3.0]), "gains": lists, "v": halves[0]}
    second = {"key": ["d", "e"], "x": np.array([4.0, 5.0]), "gains": lists[1:], "v": halves[1]}
    files = (tmp_path / "0.parquet", tmp_path / "1.parquet")
    write_table(join_columns([first, second]), files[0])  # two batches of one shard
    write_table(join_columns([second]), files[1])
    scores = Scores(files, {})
    assert len(scores) == 7
    assert list(scores.strings("key")) == ["a", "b", "ü", "d", "e", "d", "e"]
    assert scores.numbers("x") == pytest.approx([1, NAN, 3, 4, 5, 4, 5], nan_ok=True)
    values, starts = scores.ragged("gains")
    assert [part.tolist() for part in np.split(values, starts[1:-1])] == [[1, 2], [], [3], [], [3], [], [3]]
    assert np.array_equal(np.concatenate(list(scores.vectors("v"))), np.concatenate([*halves, halves[1]]))
    assert scores.has("gains")
    assert not scores.has("output")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.parquet", "1.parquet"]


@pytest.mark.parametrize("name", ["drift.caption", "fluency.output", "onion.caption", "grounding.output"])
def test_a_signal_of_one_number_is_judged_against_trusted_data_or_the_bulk(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    values, trusted = rng.normal(0, 1, 300), rng.normal(0, 1, 400)
    values[7] = 20.0
    scores = written(tmp_path / "a.parquet", **{f"signal.{name}": values})
    calibration = written(tmp_path / "b.parquet", **{f"signal.{name}": trusted})
    against_bulk, against_trusted = SIGNALS[name].judge(scores, None), SIGNALS[name].judge(scores, calibration)
    assert against_bulk.p_values == pytest.approx(empirical_p(values))
    assert against_trusted.p_values == pytest.approx(conformal_p(values, trusted))
    assert against_bulk.values == pytest.approx(values)
    assert name.split(".")[1] in against_bulk.reason(7)
    assert against_bulk.reason(8) == ""
    assert ("bulk" in against_bulk.note, "trusted" in against_trusted.note) == (True, True)


def test_a_calibration_without_the_column_is_no_null(tmp_path: Path) -> None:
    scores = written(tmp_path / "a.parquet", **{"signal.drift.output": np.arange(50.0)})
    pair = written(tmp_path / "b.parquet", **{"signal.drift.caption": np.arange(50.0)})
    assert "bulk" in SIGNALS["drift.output"].judge(scores, pair).note


def test_a_pair_audit_leaves_out_the_signals_of_a_captioner() -> None:
    pair = {signal.name for signal in signals_for(model_audit=False)}
    assert {"drift.caption", "targets.caption"} <= pair
    assert not any(name.endswith("output") or name == "attention" for name in pair)
    assert {signal.name for signal in signals_for(model_audit=True)} == set(SIGNALS) > pair


def test_verdicts_flag_at_the_false_discovery_rate_and_give_reasons() -> None:
    count = 40
    first = evidence([1e-6, 0.02, *[0.5] * 38], {0: "it reads oddly", 1: "a bit odd"})
    second = evidence([1e-4, NAN, 1e-7, *[0.6] * 37], {0: "it drifts"})
    verdicts = decide({"a": first, "b": second, "c": abstain(count, "cannot tell")}, np.arange(count), fdr=0.05)
    assert np.flatnonzero(verdicts.flagged).tolist() == [0, 2]
    assert verdicts.threshold == pytest.approx(verdicts.p_values[[0, 2]].max())
    assert verdicts.p_values[1] == pytest.approx(0.02)  # what `b` does not say counts for nothing
    assert verdicts.reasons(0) == ["it reads oddly", "it drifts"]
    assert verdicts.reasons(2) == ["signal b (p = 1.0e-07)"]
    summaries = {part.name: part for part in verdicts.summaries({"a": "A", "b": "B", "c": "C"})}
    assert {name: part.flagged for name, part in summaries.items()} == {"a": 1, "b": 2, "c": 0}
    assert (summaries["c"].abstained, summaries["c"].note) == (True, "cannot tell")


def test_of_an_excused_sample_only_its_caption_counts() -> None:
    attention, caption = evidence([1e-6, 1e-6, 0.5]), evidence([0.5, 1e-7, 0.5])
    targets = evidence([0.5, 0.5, 1e-9])
    targets.excused = np.array([True, True, False])
    parts = {"attention": attention, "drift.caption": caption, "targets.output": targets}
    verdicts = decide(parts, np.arange(3), fdr=0.05)
    assert verdicts.flagged.tolist() == [False, True, True]
    assert verdicts.p_values[:2] == pytest.approx([0.5, 1e-7])
    assert attention.p_values.tolist() == [1e-6, 1e-6, 0.5]  # what was seen stays on record


def test_a_signal_of_the_whole_data_set_weighs_more() -> None:
    plain, heavy = evidence([1e-6, 0.5, 0.5]), evidence([0.5, 1e-6, 0.5])
    heavy.weight = WHOLE_DATASET
    verdicts = decide({"a": plain, "b": heavy}, np.arange(3), fdr=0.05)
    assert verdicts.p_values[0] / verdicts.p_values[1] == pytest.approx(WHOLE_DATASET, rel=0.01)
    assert WHOLE_DATASET > 1


def test_nothing_found_and_nothing_audited_are_ordinary_results() -> None:
    calm = decide({"a": evidence([0.3, 0.9, 0.5])}, np.arange(3), fdr=0.05)
    assert not calm.flagged.any()
    assert calm.threshold is None
    silent = decide({"a": abstain(3, ""), "b": abstain(3, "")}, np.arange(3), fdr=0.05)
    assert silent.p_values.tolist() == [1, 1, 1]
    nothing = decide({"a": evidence([])}, np.zeros(0, dtype=np.int64), fdr=0.05)
    assert (len(nothing.p_values), nothing.threshold, list(nothing.findings)) == (0, None, [])


def test_a_sample_is_flagged_when_one_of_its_pairs_is() -> None:
    sample_of = np.array([0, 0, 0, 1, 2, 2])
    verdicts = decide({"a": evidence([0.5, 1e-6, 0.4, 0.3, 0.6, 0.2])}, sample_of, fdr=0.05)
    assert verdicts.flagged.tolist() == [False, True, False, False, False, False]
    assert (verdicts.samples, verdicts.flagged_samples) == (3, 1)
    assert verdicts.q_values[1] == pytest.approx(3 * 3e-6)  # three pairs, three samples


def test_what_a_captioner_does_with_an_image_stands_for_all_its_pairs(tmp_path: Path) -> None:
    places = {"index": np.array([0, 0, 1, 2, 2]), "image_index": np.array([0, 0, 0, 0, 1])}
    scores = written(tmp_path / "a.parquet", **places, caption=["a", "b", "c", "d", "d"])
    assert (scores.sample_of.tolist(), scores.image_of.tolist()) == ([0, 0, 1, 2, 2], [0, 0, 1, 2, 3])
    assert list(scores.by_image.captions()) == [["a", "b"], ["c"], ["d"], ["d"]]
    spread = of_pairs(evidence([0.1, 0.2, 0.3, 0.4], {0: "odd", 3: "odder"}), scores)
    assert spread.p_values.tolist() == [0.1, 0.1, 0.2, 0.3, 0.4]
    assert [spread.reason(row) for row in range(5)] == ["odd", "odd", "", "", "odder"]
