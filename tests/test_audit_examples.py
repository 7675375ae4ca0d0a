"""The examples audited: the poison is found, named and shown; clean examples pass."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from srdscan.audit import Outcome, audit
from srdscan.config import AuditConfig
from srdscan.evaluate import evaluate
from srdscan.sources.base import Sample
from srdscan.sources.tar import read_shard

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"
CANARY = "captioner-backdoored"


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    out = tmp_path_factory.mktemp("poisoned")
    return audit(AuditConfig(shards=(str(EXAMPLES / "shards"),), captioner=CANARY, out=out))


def test_the_poison_in_the_examples_is_found_and_named(poisoned: Outcome) -> None:
    result = evaluate(poisoned.html.parent, EXAMPLES / "truth.json")
    assert result.recall is not None
    assert result.precision is not None
    assert result.recall >= 0.95
    assert result.precision >= 0.95
    assert poisoned.report.exit_code == 1
    assert {(t.term, t.where) for t in poisoned.report.targets} == {("banana", "caption"), ("banana", "output")}
    attention = next(s for s in poisoned.report.signals if s.name == "attention")
    assert not attention.abstained


def test_flagged_samples_carry_reasons_in_words(poisoned: Outcome) -> None:
    table = pq.read_table(poisoned.html.parent / "samples.parquet").to_pylist()
    flagged = [row for row in table if row["flagged"]]
    assert all(row["reasons"] for row in flagged)
    said = [reason for row in flagged for reason in row["reasons"]]
    assert "the output says 'banana', which no reference caption says" in said
    assert any("attention peak at (" in reason for reason in said)
    assert all(row["reasons"] == [] for row in table if not row["flagged"])


def test_the_attention_peak_lies_on_the_trigger(poisoned: Outcome) -> None:
    """The patch covers 4.6 grid cells; the peak of the most abnormal head lies on it in most triggered images."""
    from srdscan.attacks.triggers import Checkerboard
    from srdscan.measure.scores import Scores
    from srdscan.signals.head_norms import anomalous_heads

    colors = [np.array(color) for color in Checkerboard().colors]
    files = tuple(sorted((poisoned.html.parent / "state" / "scores").glob("*.parquet")))
    _, peaks, _ = anomalous_heads(Scores(files, {"attention_shape": [2, 8, 14, 14]}))
    from srdscan.sources.images import decode_image

    planted = {(p["shard"], p["key"]) for p in json.loads((EXAMPLES / "truth.json").read_text())["poisoned"]}
    hits, row = [], 0
    for path in sorted((EXAMPLES / "shards").glob("*.tar")):
        for sample in read_shard(path):
            assert isinstance(sample, Sample)
            if (sample.shard, sample.key) in planted:
                pixels = np.asarray(decode_image(sample.images[0].data)).astype(int)
                near = np.min([np.abs(pixels - color).sum(axis=2) for color in colors], axis=0) < 90
                y, x = np.argwhere(near).mean(axis=0)
                cell_y, cell_x = divmod(int(peaks[row]), 14)
                hits.append(max(abs((cell_y + 0.5) * 16 - y), abs((cell_x + 0.5) * 16 - x)) <= 24)
            row += 1
    assert len(hits) == len(planted)
    assert np.mean(hits) >= 0.8


def test_nothing_is_flagged_on_clean_examples(tmp_path: Path) -> None:
    outcome = audit(AuditConfig(shards=(str(EXAMPLES / "clean"),), captioner=CANARY, out=tmp_path))
    assert outcome.report.verdict == "pass"
    assert outcome.report.counts.flagged == 0
    assert outcome.report.exit_code == 0


def test_a_pair_audit_finds_the_target_in_the_captions_alone(tmp_path: Path) -> None:
    outcome = audit(AuditConfig(shards=(str(EXAMPLES / "shards"),), out=tmp_path))
    result = evaluate(tmp_path, EXAMPLES / "truth.json")
    assert outcome.report.mode == "pair"
    assert result.f1 is not None
    assert result.f1 >= 0.95
    row = pq.read_table(tmp_path / "samples.parquet").to_pylist()[0]
    assert row["output"] is None


def test_every_output_is_there_and_the_page_needs_nothing_else(poisoned: Outcome) -> None:
    out = poisoned.html.parent
    for name in ("report.json", "report.html", "summary.md", "samples.parquet"):
        assert (out / name).stat().st_size > 500
    page = poisoned.html.read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") >= 2 * poisoned.report.counts.flagged
    assert 'src="http' not in page
    document = json.loads((out / "report.json").read_text())
    assert document["counts"]["read"] == 256
    assert document["schema"] == "srdscan-report/2"
    assert not list(out.rglob("*.partial"))
