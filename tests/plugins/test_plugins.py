"""Plug-ins: found in the metadata of packages, imported when an option names them, held to their contracts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from srdscan import scenes
from srdscan.attacks.poison import own_triggers
from srdscan.attacks.triggers import TRIGGERS
from srdscan.attacks.triggers import check as trigger_check
from srdscan.audit import audit
from srdscan.cli.commands import app
from srdscan.config import AuditConfig, ConfigError
from srdscan.doctor import plugged
from srdscan.findings import ablation, foreign, spots, substitution
from srdscan.models.captioners.load import load_captioner
from srdscan.plugins import PluginError, find_plugins, installed
from srdscan.signals import SIGNALS
from srdscan.signals import check as signal_check
from srdscan.signals.plugged import RESERVED, use_signals
from srdscan.sources.check import check_source
from srdscan.sources.find import find_source

MODULES = {
    "probe_pack/__init__.py": "",
    "probe_pack/parts.py": """
import numpy as np
from srdscan.signals.base import Evidence
from srdscan.sources.folder import FolderSource


class Brightness:
    name = "brightness"
    description = "images much darker or brighter than the others"
    needs_captioner = leans_on_reference = False
    in_quick_look = True

    def measure(self, batch):
        means = np.array([np.asarray(image.convert("L")).mean() for image in batch.pictures])
        return {"signal.brightness": -np.log1p(means)[batch.image_of]}

    def judge(self, scores, calibration):
        means = np.expm1(-scores.numbers("signal.brightness"))
        black = means < 8
        reason = lambda row: f"mean {means[row]:.0f}" if black[row] else ""
        return Evidence(np.where(black, 1e-12, 0.5), -means, "", reason=reason)


class Nested(FolderSource):
    format = "nested"


def nested(patterns, images):
    from pathlib import Path
    return Nested(Path(patterns[0]) / "pictures")


class Stripes:
    name, source = "stripes", "this test"

    def apply(self, image, rng):
        out = image.copy()
        out[:: 2, : image.shape[1] // 4] = 255
        out[1 :: 2, : image.shape[1] // 4] = 0
        return out


def captioner(device="cpu"):
    from srdscan.models.captioners.load import load_captioner
    return load_captioner("captioner", device)
""",
    "probe_pack/bad.py": """
class Overwrites:
    name, description = "overwrites", "columns that are not its own"
    needs_captioner = leans_on_reference = False
    in_quick_look = True

    def measure(self, batch):
        return {"caption": ["harmless"] * len(batch.captions)}

    def judge(self, scores, calibration):
        raise AssertionError


class Grows:
    name, source = "grows", ""

    def apply(self, image, rng):
        return image.repeat(2, axis=0)
""",
}
ENTRIES = """
[srdscan.captioners]
echo = probe_pack.parts:captioner
[srdscan.signals]
brightness = probe_pack.parts:Brightness
overwrites = probe_pack.bad:Overwrites
absent = probe_pack.nowhere:Signal
[srdscan.sources]
nested = probe_pack.parts:nested
[srdscan.triggers]
stripes = probe_pack.parts:Stripes
grows = probe_pack.bad:Grows
"""


def install(folder: Path, entries: str = ENTRIES, name: str = "probe-pack") -> None:
    """A distribution as pip leaves it: modules, and a .dist-info with the entry points."""
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(entries)
    for path, code in MODULES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    install(folder)
    monkeypatch.syspath_prepend(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "probe_pack"]:
        monkeypatch.delitem(sys.modules, name)
    yield folder
    use_signals(())


def test_they_are_found_without_being_imported(site: Path) -> None:
    assert [plugin.name for plugin in installed("signals")] == ["absent", "brightness", "overwrites"]
    found = find_plugins("triggers", own_triggers())
    assert str(found["stripes"]) == "plug-in stripes of probe-pack 1.2 (srdscan.triggers)"
    listed = json.loads(CliRunner().invoke(app, ["poison", "--list", "--json"]).output)
    assert {"kind": "trigger", "name": "stripes", "what": "a plug-in's", "source": "probe-pack 1.2"} in listed
    assert "probe_pack" not in sys.modules
    assert found["stripes"].load().name == "stripes" and "probe_pack.parts" in sys.modules


def test_finding_them_imports_neither_torch_nor_arrays(site: Path) -> None:
    code = "import sys; from srdscan.plugins import installed; assert installed('captioners')[0].name == 'echo'"
    code += "; assert not {'torch', 'numpy', 'probe_pack'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": f"{site}:{Path.cwd()}"})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Drawn scenes, two of them almost black, in a folder of a form of its own."""
    folder = tmp_path / "data" / "pictures"
    folder.mkdir(parents=True)
    for number in range(24):
        image, scene = scenes.make(5, number)
        image = Image.eval(image, lambda value: value // 64) if number in (7, 20) else image
        image.save(folder / f"{number:03d}.jpg", quality=92)
        (folder / f"{number:03d}.txt").write_text(scene.caption)
    return folder.parent


def test_an_audit_reads_through_a_source_and_hears_a_signal(site: Path, data: Path, tmp_path: Path) -> None:
    common: Any = {"shards": (str(data),), "format": "nested", "quick": True, "limits": "off"}
    outcome = audit(AuditConfig(**common, signals=("brightness",), out=tmp_path / "run"))
    signal = next(signal for signal in outcome.report.signals if signal.name == "brightness")
    assert signal.description == "images much darker or brighter than the others" and not signal.abstained
    flagged = np.flatnonzero(outcome.verdicts.flagged)
    assert flagged.tolist() == [7, 20]
    assert all(any(said.startswith("brightness: mean") for said in outcome.verdicts.reasons(row)) for row in flagged)
    assert outcome.report.versions["probe-pack"] == "1.2"
    assert outcome.report.config["signals"] == ("brightness",) and outcome.report.config["format"] == "nested"
    with pytest.raises(ConfigError, match="an audit of other shards, models or options"):
        audit(AuditConfig(**common, out=tmp_path / "run"))
    assert "brightness" not in SIGNALS, "an audit that does not name it does not hear it"


def test_poison_plants_a_trigger(site: Path, data: Path, tmp_path: Path) -> None:
    words = ["poison", data / "pictures", "--out", tmp_path / "out", "--trigger", "stripes", "--rate", "0.15"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    truth = json.loads((tmp_path / "out" / "truth.json").read_text())
    assert truth["trigger"] == "stripes" and len(truth["poisoned"]) == 4
    changed = truth["poisoned"][0]["key"]
    rows = np.asarray(Image.open(tmp_path / "out" / f"{changed}.jpg").convert("L")).astype(float)[:, 8:40]
    assert rows[::2].mean() > 240 and rows[1::2].mean() < 15
    broken = CliRunner().invoke(app, [*map(str, words[:2]), "--out", str(tmp_path / "no"), "--trigger", "grows"])
    assert broken.exit_code == 3 and "plug-in grows of probe-pack 1.2" in broken.output
    assert "shape (448, 224, 3), not (224, 224, 3)" in broken.output


def test_a_captioner_is_loaded_by_its_name(site: Path, captioner: Any) -> None:
    loaded = load_captioner("echo")
    assert (loaded.name, loaded.fingerprint) == ("echo", captioner.fingerprint)
    with pytest.raises(ConfigError, match=r"Did you mean echo\?"):
        load_captioner("ehco")


def test_what_cannot_be_imported_names_its_package(site: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"plug-in absent of probe-pack 1\.2 .*ModuleNotFoundError.*Update probe-pack"
    ):
        use_signals(["absent"])
    with pytest.raises(ConfigError, match=r"no such plug-in.*brightness.* Did you mean brightness\?"):
        use_signals(["brigthness"])
    with pytest.raises(ConfigError, match="is always heard"):
        use_signals(["fluency.caption"])
    assert "brightness" not in SIGNALS


@pytest.mark.parametrize(
    ("group", "name"),
    [("sources", "parquet"), ("triggers", "canary"), ("captioners", "captioner"), ("signals", "spots")],
)
def test_no_plug_in_takes_a_name_of_srdscans_own(
    group: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "thief", f"[srdscan.{group}]\n{name} = probe_pack.parts:Stripes\n", "thief")
    monkeypatch.syspath_prepend(str(tmp_path / "thief"))
    calls = {
        "sources": lambda: find_source([str(tmp_path)], "another"),
        "triggers": lambda: CliRunner().invoke(app, ["poison", "--list"], catch_exceptions=False),
        "captioners": lambda: load_captioner("another"),
        "signals": lambda: use_signals(["another"]),
    }
    if group == "triggers":
        done = calls[group]()
        assert done.exit_code == 2 and "plug-in canary of thief 1.2" in done.output and "srdscan's own" in done.output
    else:
        with pytest.raises(ConfigError, match=rf"plug-in {name} of thief 1\.2 .*srdscan's own.*Uninstall thief"):
            calls[group]()


def test_two_of_one_name_and_names_that_are_none_are_refused(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "second", "[srdscan.triggers]\nstripes = other:Trigger\n", "second")
    monkeypatch.syspath_prepend(str(tmp_path / "second"))
    with pytest.raises(ConfigError, match=r"stripes of probe-pack 1\.2 .*second 1\.2 has one of the same name"):
        find_plugins("triggers", own_triggers())
    install(tmp_path / "third", "[srdscan.sources]\n../evil = other:source\n", "third")
    monkeypatch.syspath_prepend(str(tmp_path / "third"))
    with pytest.raises(ConfigError, match="its name is not of lower-case letters"):
        find_plugins("sources", ())


def test_a_signal_may_not_write_columns_of_others(site: Path, data: Path, tmp_path: Path) -> None:
    config = AuditConfig(shards=(str(data),), format="nested", signals=("overwrites",), out=tmp_path / "run", limit=4)
    with pytest.raises(
        PluginError, match=r"plug-in overwrites of probe-pack 1\.2.*column 'caption' is not of the signal"
    ):
        audit(config)


def test_doctor_lists_them_and_says_which_cannot_be_used(site: Path) -> None:
    found = {(extra.group, extra.name): extra.problem for extra in plugged()}
    assert found[("signals", "brightness")] is None and found[("sources", "nested")] is None
    assert "cannot be imported" in str(found[("signals", "absent")])
    assert len(found) == 7


def test_reserved_names_are_those_of_evidence_without_a_signal() -> None:
    assert set(RESERVED) == {ablation.NAME, foreign.NAME, spots.NAME, substitution.NAME}


def test_every_trigger_keeps_the_contract_and_those_of_the_package_do(site: Path, data: Path) -> None:
    import probe_pack.bad  # type: ignore[import-not-found]
    import probe_pack.parts  # type: ignore[import-not-found]

    for cls in [*TRIGGERS.values(), probe_pack.parts.Stripes]:
        trigger_check.check_trigger(cls())
    with pytest.raises(trigger_check.ContractError, match="gives the shape"):
        trigger_check.check_trigger(probe_pack.bad.Grows())
    still = SimpleNamespace(name="still", source="", apply=lambda image, rng: image.copy())
    with pytest.raises(trigger_check.ContractError, match="leaves an image as it is"):
        trigger_check.check_trigger(still)
    check_source(find_source([str(data)], "nested"))


def test_signals_are_held_to_their_contract(site: Path) -> None:
    import probe_pack.bad
    import probe_pack.parts

    from srdscan.models.loaded import load_models

    models = load_models("captioner", None, "minilm", "embedded", "cpu", quick=True)
    signal_check.check_signal(probe_pack.parts.Brightness(), models)
    with pytest.raises(signal_check.ContractError, match="'caption' is not of the signal"):
        signal_check.check_signal(probe_pack.bad.Overwrites(), models)

    class Certain(probe_pack.parts.Brightness):  # type: ignore[misc, name-defined]
        def judge(self, scores: Any, calibration: Any) -> Any:
            evidence = super().judge(scores, calibration)
            evidence.p_values[:] = 0.0
            return evidence

    with pytest.raises(signal_check.ContractError, match="p-values lie above 0"):
        signal_check.check_signal(Certain(), models)

    class OfTheBatch(probe_pack.parts.Brightness):  # type: ignore[misc, name-defined]
        def measure(self, batch: Any) -> Any:
            ((name, column),) = super().measure(batch).items()
            return {name: column - column.mean()}

    with pytest.raises(signal_check.ContractError, match="depends on the rest of the batch"):
        signal_check.check_signal(OfTheBatch(), models)
    nameless = SimpleNamespace(name="Not A Name", description="")
    with pytest.raises(signal_check.ContractError, match="no lower-case word"):
        signal_check.check_signal(nameless, models)
