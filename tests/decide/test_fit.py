"""Where the models do not understand the data, the audit says so and gives no verdict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zoo
from PIL import Image

from srdscan import scenes
from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.decide.fit import FEWEST, elsewhere, measure_fit
from srdscan.measure.scores import Scores, to_arrow

COUNT = 48


def scores(path: Path, own: np.ndarray, other: np.ndarray) -> Scores:
    # captions and references on a circle: all references alike, so that a caption is as near to another as to its own
    captions = np.stack([other, np.sqrt(1 - other**2)], axis=1).astype(np.float16)
    references = np.tile(np.array([1, 0], np.float16), (len(own), 1))
    columns = {"agreement.caption": to_arrow(captions), "reference_embedding": to_arrow(references)}
    places = {"index": np.arange(len(own)), "image_index": np.zeros(len(own), np.int32)}
    pq.write_table(pa.table({"signal.drift.caption": 1.0 - own, **places, **columns}), path / "scores.parquet")
    return Scores((path / "scores.parquet",), {})


@pytest.mark.parametrize(
    ("own", "other", "fits"),
    [
        (0.60, 0.10, True),  # understood
        (0.60, 0.60, True),  # all images alike, and well described
        (0.20, 0.02, True),  # another style, but each caption belongs to its image
        (0.10, 0.10, False),  # any caption goes with any image
    ],
)
def test_fit_is_agreement_or_discernment(tmp_path: Path, own: float, other: float, fits: bool) -> None:
    spread = np.random.default_rng(0).normal(0, 0.03, (2, 500))
    (fit,) = measure_fit(scores(tmp_path, own + spread[0], other + spread[1]), ("caption",))
    assert fit.fits is fits
    assert fit.agreement == pytest.approx(own, abs=0.01)
    assert fit.discernment == pytest.approx(0.5 if own == other else 1.0, abs=0.05)


def test_a_handful_of_samples_says_nothing(tmp_path: Path) -> None:
    few = np.zeros(FEWEST - 1)
    assert measure_fit(scores(tmp_path, few, few), ("caption",)) == ()


def test_elsewhere_is_another_image_s_reference_whatever_the_units(tmp_path: Path) -> None:
    vectors = np.eye(6, dtype=np.float16)
    table = pa.table(
        {
            "index": list(range(6)),
            "image_index": [0] * 6,
            "agreement.caption": to_arrow(vectors),
            "reference_embedding": to_arrow(vectors),
        }
    )
    pq.write_table(table, tmp_path / "whole.parquet")
    parts = []
    for row in range(6):
        parts.append(tmp_path / f"{row}.parquet")
        pq.write_table(table.slice(row, 1), parts[-1])
    whole, apart = Scores((tmp_path / "whole.parquet",), {}), Scores(tuple(parts), {})
    assert elsewhere(whole, "caption").tolist() == [0.0] * 6  # never its own
    same = np.tile(vectors[:1], (6, 1))
    assert elsewhere(apart, "caption").tolist() == [0.0] * 6
    pq.write_table(table.set_column(3, "reference_embedding", to_arrow(same)), tmp_path / "same.parquet")
    assert sorted(elsewhere(Scores((tmp_path / "same.parquet",), {}), "caption")) == [0.0] * 5 + [1.0]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans of noise with captions of another world."""
    folder = tmp_path_factory.mktemp("foreign")
    entries = []
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        gene = f"gel electrophoresis of protein band {index}, lane {index % 7}"
        entries += [(f"{index:03d}.jpg", zoo.encoded(noise, "JPEG")), (f"{index:03d}.txt", gene.encode())]
    zoo.tar(folder / "gels.tar", entries)
    return folder


def test_foreign_data_are_inconclusive_and_nothing_is_sanitized(foreign: Path, tmp_path: Path) -> None:
    outcome = audit(AuditConfig((str(foreign),), out=tmp_path / "run", sanitize=tmp_path / "clean"))
    document = json.loads((tmp_path / "run" / "report.json").read_text())
    assert (document["verdict"], document["exit_code"]) == ("inconclusive", 3)
    assert not document["fit"][0]["fits"]
    assert document["sanitized"] is None
    assert not list((tmp_path / "clean").glob("*.tar"))
    page, summary = outcome.html.read_text(), (tmp_path / "run" / "summary.md").read_text()
    for text in (page, summary):
        assert "The models do not fit these data" in text
        assert "hardly ever mean what the reference captioner says" in text
        assert "--reference" in text
    assert page.index("hardly ever mean") < page.index('id="flagged"')


def test_scenes_fit(tmp_path: Path) -> None:
    entries = []
    for index in range(COUNT):
        image, scene = scenes.make(91, index)
        caption = scene.caption.encode()
        entries += [(f"{index:03d}.jpg", scenes.encode_jpeg(image)), (f"{index:03d}.txt", caption)]
    zoo.tar(tmp_path / "scenes.tar", entries)
    shards = (str(tmp_path / "scenes.tar"),)
    outcome = audit(AuditConfig(shards, out=tmp_path / "run", captioner="captioner-backdoored"))
    assert outcome.report.verdict == "pass"
    assert [(fit.role, fit.fits) for fit in outcome.report.fit] == [("caption", True), ("output", True)]
    assert all(fit.agreement > 0.8 and fit.discernment > 0.8 for fit in outcome.report.fit)
