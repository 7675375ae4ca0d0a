"""A canary audit: the captioner under audit is fine-tuned on the audited shards."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from srdscan import scenes
from srdscan.audit import Outcome, audit
from srdscan.config import AuditConfig, ConfigError
from srdscan.models.captioners.load import load_captioner

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    work = tmp_path_factory.mktemp("canary")
    scenes.write_shards(work / "shards", 40, 40, 17)
    return AuditConfig((str(work / "shards"),), out=work / "run", canary=True, canary_epochs=1)


@pytest.fixture(scope="module")
def outcome(config: AuditConfig) -> Outcome:
    return audit(config)


def test_the_captioner_under_audit_is_the_canary(config: AuditConfig, outcome: Outcome) -> None:
    (record,) = (model for model in outcome.report.models if model.role == "captioner")
    assert outcome.report.mode == "canary"
    assert record.fingerprint == load_captioner(str(config.out / "canary")).fingerprint
    assert record.fingerprint != load_captioner("captioner").fingerprint
    assert "fine-tuned on these very shards" in outcome.html.read_text()
    assert json.loads((config.out / "report.json").read_text())["verdict"] == "pass"


def test_it_is_raised_once(config: AuditConfig, outcome: Outcome) -> None:
    weights = config.out / "canary" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    again = audit(config)
    assert weights.stat().st_mtime_ns == before
    assert again.report == outcome.report


def test_a_canary_of_other_shards_or_settings_is_refused(config: AuditConfig, outcome: Outcome, tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "other", 30, 30, 18)
    for changes in ({"canary_epochs": 2}, {"seed": 5}, {"shards": (str(tmp_path / "other"),)}):
        with pytest.raises(ConfigError, match="canary of other shards or settings"):
            audit(dataclasses.replace(config, **changes))


def test_options_that_contradict_a_canary_are_refused() -> None:
    for options in ({"captioner": "captioner"}, {"limit": 5}, {"canary_epochs": 0}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            AuditConfig(("x",), canary=True, **options)
