"""Evaluating an audit against known poison: figures by hand, and files that do not fit refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srdscan.evaluate import Evaluation, compare, evaluate

# The first three are poisoned, the third of them is missed; the fourth is a false alarm.
P_VALUES = [1e-6, 1e-4, 0.3, 1e-5, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9]
FLAGGED = [True, True, False, True, *[False] * 6]
POISONED = [("a.tar", "0"), ("a.tar", "1"), ("a.tar", "2")]


def run_folder(path: Path, p_values: list[float] = P_VALUES, flagged: list[bool] = FLAGGED) -> Path:
    path.mkdir()
    count = len(p_values)
    shards = ["a.tar" if i < 5 else "b.tar" for i in range(count)]
    columns = {"shard": shards, "key": [str(i) for i in range(count)], "flagged": flagged, "p_value": p_values}
    pq.write_table(pa.table({**columns, "caption": ["x"] * count}), path / "samples.parquet", row_group_size=4)
    return path


def truth_file(path: Path, poisoned: list[tuple[str, str]]) -> Path:
    path.write_text(json.dumps({"poisoned": [{"shard": shard, "key": key} for shard, key in poisoned]}))
    return path


def evaluated(tmp_path: Path, poisoned: list[tuple[str, str]], **options: list) -> Evaluation:
    return evaluate(run_folder(tmp_path / "run", **options), truth_file(tmp_path / "truth.json", poisoned))


def test_the_figures_by_hand(tmp_path: Path) -> None:
    found = evaluated(tmp_path, POISONED)
    assert (found.samples, found.poisoned, found.flagged, found.missing) == (10, 3, 3, 0)
    assert (found.true_positives, found.false_positives, found.false_negatives, found.true_negatives) == (2, 1, 1, 6)
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(2 / 3)
    assert found.false_positive_rate == pytest.approx(1 / 7)
    # Clean samples below each poisoned one: 7, 6 (but 1e-5), 5 (but 1e-5 and 0.2), of 21 pairs.
    assert found.auroc == pytest.approx((7 + 6 + 5) / 21)
    assert found.pr_auc == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)


def test_poison_that_was_not_scored_counts_as_missed(tmp_path: Path) -> None:
    found = evaluated(tmp_path, [*POISONED, ("a.tar", "damaged"), ("c.tar", "0")])
    assert (found.missing, found.false_negatives, found.poisoned) == (2, 3, 3)
    assert found.recall == pytest.approx(2 / 5)
    assert found.precision == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 3))
    assert found.auroc == pytest.approx(18 / 21)  # of the scored


def test_a_key_is_looked_for_in_its_own_shard(tmp_path: Path) -> None:
    found = evaluated(tmp_path, [("b.tar", "0"), ("a.tar", "3")])
    assert (found.poisoned, found.missing, found.true_positives) == (1, 1, 1)


def test_figures_that_mean_nothing_are_none(tmp_path: Path) -> None:
    clean = evaluated(tmp_path, [])
    assert (clean.recall, clean.f1, clean.auroc, clean.pr_auc) == (None, None, None, None)
    assert clean.precision == 0
    assert clean.false_positive_rate == pytest.approx(0.3)
    nothing = compare(np.zeros(4, bool), np.ones(4), np.ones(4, bool))
    assert (nothing.precision, nothing.f1, nothing.false_positive_rate, nothing.auroc) == (None, None, None, None)
    assert nothing.recall == 0


def test_an_audit_of_nothing_is_evaluated(tmp_path: Path) -> None:
    found = evaluated(tmp_path, POISONED, p_values=[], flagged=[])
    assert (found.samples, found.missing, found.recall, found.precision) == (0, 3, 0, None)


def test_tiny_p_values_are_kept_apart_and_ties_share(tmp_path: Path) -> None:
    poisoned = np.array([True, False, False])
    assert compare(poisoned, np.array([1e-200, 1e-199, 0.5]), poisoned).auroc == 1
    assert compare(poisoned, np.array([0.5, 0.5, 0.5]), poisoned).auroc == pytest.approx(0.5)


def test_the_figures_are_shown_and_written(tmp_path: Path) -> None:
    found = evaluated(tmp_path, POISONED)
    assert json.loads(found.to_json())["true_positives"] == 2
    rows = dict(found.rows())
    assert rows["samples"] == "10"
    assert rows["false positive rate"] == "0.1429"
    assert dict(evaluate(tmp_path / "run", truth_file(tmp_path / "none.json", [])).rows())["recall"] == "-"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "null", '{"poisoned": 3}', '{"poisoned": [{"key": "0"}]}', '{"poisoned": ["a.tar"]}']
)
def test_what_is_no_truth_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "truth.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"truth\.json: not a truth file"):
        evaluate(run_folder(tmp_path / "run"), path)


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    with pytest.raises(ValueError, match=r"names none of the shards that .*run audited \(a\.tar, b\.tar"):
        evaluate(run, truth_file(tmp_path / "other.json", [("z.tar", "0")]))
    with pytest.raises(ValueError, match=r"no samples\.parquet there"):
        evaluate(tmp_path, truth_file(tmp_path / "truth.json", POISONED))
    with pytest.raises(ValueError, match=r"gone\.json: not a truth file"):
        evaluate(run, tmp_path / "gone.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.json: not a truth file"):
        evaluate(run, tmp_path / "binary.json")


def test_a_table_that_is_none_of_an_audit_is_refused(tmp_path: Path) -> None:
    truth = truth_file(tmp_path / "truth.json", POISONED)
    pq.write_table(pa.table({"shard": ["a.tar"], "key": ["0"]}), tmp_path / "samples.parquet")
    with pytest.raises(ValueError, match=r"samples\.parquet: not the table of an audit"):
        evaluate(tmp_path, truth)
    (tmp_path / "samples.parquet").write_bytes(b"PAR1 nothing else")
    with pytest.raises(ValueError, match=r"samples\.parquet"):
        evaluate(tmp_path, truth)
