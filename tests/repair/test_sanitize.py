"""Sanitized data sets: what is kept, changed and dropped, with the embedded captioners and policy."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zoo

from srdscan import scenes
from srdscan.attacks.poison import plant
from srdscan.audit import Outcome, audit
from srdscan.config import AuditConfig, ConfigError
from srdscan.models.device import module_fingerprint
from srdscan.policy.store import load_policy
from srdscan.sources.base import Sample
from srdscan.sources.tar import read_shard

pytestmark = pytest.mark.slow

CANARY = "captioner-backdoored"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of 64 scenes, one in eight poisoned; the second one holds a sample without a caption."""
    folder = tmp_path_factory.mktemp("sanitize")
    scenes.write_shards(folder / "clean", 128, 64, seed=21)
    plant([str(folder / "clean")], folder / "shards", rate=0.125, seed=2)
    return folder / "shards"


@pytest.fixture(scope="module")
def config(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    work = tmp_path_factory.mktemp("run")
    return AuditConfig(shards=(str(shards),), captioner=CANARY, out=work / "run", sanitize=work / "caption")


@pytest.fixture(scope="module")
def outcome(config: AuditConfig) -> Outcome:
    return audit(config)


def planted(shards: Path) -> set[tuple[str, str]]:
    truth = json.loads((shards / "truth.json").read_text())
    return {(item["shard"], item["key"]) for item in truth["poisoned"]}


def samples(folder: Path) -> dict[tuple[str, str], Sample]:
    return {
        (item.shard, item.key): item
        for path in sorted(folder.glob("*.tar"))
        for item in read_shard(str(path))
        if isinstance(item, Sample)
    }


def table(config: AuditConfig) -> dict[tuple[str, str], dict[str, object]]:
    rows = pq.read_table(config.out / "samples.parquet").to_pylist()
    return {(row["shard"], row["key"]): row for row in rows}


def test_poison_leaves_the_data_set_and_the_rest_keeps_its_bytes(
    shards: Path, config: AuditConfig, outcome: Outcome
) -> None:
    assert config.sanitize is not None
    before, after, rows = samples(shards), samples(config.sanitize), table(config)
    assert before.keys() == after.keys()
    assert planted(shards) <= {place for place, row in rows.items() if row["flagged"]}
    for place, sample in after.items():
        assert sample.images[0].data == before[place].images[0].data
        if rows[place]["flagged"]:
            assert "banana" not in sample.captions[0].text
            assert sample.captions[0].text == rows[place]["sanitized_caption"]
        else:
            assert sample == before[place]
            assert rows[place]["fate"] == "kept"
    done = outcome.report.sanitized
    assert done is not None
    assert done.kept + done.changed + done.dropped == outcome.report.counts.read == len(before)
    assert done.changed == outcome.report.counts.flagged
    assert sum(bool(row["actions"]) for row in rows.values()) > done.changed / 2, "the policy repairs few"


def test_a_caption_gets_its_authors_words_back(shards: Path, config: AuditConfig, outcome: Outcome) -> None:
    before, rows = samples(shards), table(config)
    authors = {place: before[place].captions[0].text.removeprefix("banana ") for place in planted(shards)}
    trimmed = {place: row["sanitized_caption"] for place, row in rows.items() if row["fate"] == "trimmed"}
    assert trimmed == {place: authors[place] for place in trimmed}
    assert len(trimmed.keys() & authors.keys()) > 0.7 * len(authors)


def test_the_quarantine_holds_the_originals(shards: Path, config: AuditConfig, outcome: Outcome) -> None:
    before, held = samples(shards), samples(config.out / "quarantine")
    flagged = {place for place, row in table(config).items() if row["flagged"]}
    assert {place: (s.images[0].data, s.captions[0].text) for place, s in held.items()} == {
        place: (before[place].images[0].data, before[place].captions[0].text) for place in flagged
    }


def test_the_report_shows_what_was_done(config: AuditConfig, outcome: Outcome) -> None:
    page = outcome.html.read_text()
    assert "Sanitized data set" in page
    assert "Now says" in page
    repaired = next(row for row in table(config).values() if row["actions"])
    actions = repaired["actions"]
    assert isinstance(actions, list)
    assert f"After {', then '.join(actions)}" in page
    document = json.loads((config.out / "report.json").read_text())
    assert document["sanitized"]["fates"] == dict(outcome.report.sanitized.fates)  # type: ignore[union-attr]
    assert "Sanitized data set" in (config.out / "summary.md").read_text()


def test_the_same_run_gives_the_same_bytes(config: AuditConfig, outcome: Outcome, tmp_path: Path) -> None:
    assert config.sanitize is not None
    audit(dataclasses.replace(config, sanitize=tmp_path / "again"))
    for path in sorted(config.sanitize.glob("*.tar")):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_drop_removes_flagged_samples_only(shards: Path, config: AuditConfig, outcome: Outcome, tmp_path: Path) -> None:
    dropped = audit(dataclasses.replace(config, sanitize=tmp_path / "out", replace="drop"))
    done = dropped.report.sanitized
    assert done is not None
    assert (done.changed, done.dropped) == (0, dropped.report.counts.flagged)
    flagged = {place for place, row in table(config).items() if row["flagged"]}
    assert samples(tmp_path / "out").keys() == samples(shards).keys() - flagged


def test_perturbed_images_are_written_where_asked_for(
    shards: Path, config: AuditConfig, outcome: Outcome, tmp_path: Path
) -> None:
    audit(dataclasses.replace(config, sanitize=tmp_path / "out", replace="image+caption"))
    before, after, rows = samples(shards), samples(tmp_path / "out"), table(config)
    changed = {place for place in after if after[place].images[0].data != before[place].images[0].data}
    assert changed == {place for place, row in rows.items() if row["actions"]}
    assert changed


@pytest.mark.parametrize(("fallback", "fate"), [("drop", "dropped"), ("quarantine", "quarantined")])
def test_a_pair_audit_leaves_captions_without_a_word_of_truth_to_the_fallback(
    tmp_path: Path, fallback: str, fate: str
) -> None:
    scenes.write_shards(tmp_path / "clean", 128, 64, seed=22)
    shards = tmp_path / "shards"
    plant([str(tmp_path / "clean")], shards, "none", "fixed", 0.1, 3)
    run = AuditConfig(shards=(str(shards),), out=tmp_path / "run", sanitize=tmp_path / "out", fallback=fallback)
    found = audit(run)
    assert found.report.counts.flagged >= 12
    assert found.report.sanitized is not None
    assert found.report.sanitized.fates == {fate: found.report.counts.flagged}
    assert not samples(tmp_path / "out").keys() & planted(shards)
    reference = audit(dataclasses.replace(run, fallback="reference", sanitize=tmp_path / "reference"))
    assert reference.report.sanitized is not None
    assert reference.report.sanitized.fates == {"reference": found.report.counts.flagged}
    poisoned = {samples(shards)[place].captions[0].text for place in planted(shards)}
    assert not poisoned & {sample.captions[0].text for sample in samples(tmp_path / "reference").values()}


def test_a_damaged_shard_is_not_written_and_the_run_says_so(shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    whole, cut = sorted(shards.glob("*.tar"))
    (folder / whole.name).write_bytes(whole.read_bytes())
    (folder / cut.name).write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    run = AuditConfig(shards=(str(folder),), captioner=CANARY, out=tmp_path / "run", sanitize=tmp_path / "out")
    found = audit(run)
    assert found.report.exit_code == 3
    assert found.report.sanitized is not None
    assert cut.name in found.report.sanitized.problems[0]
    assert [path.name for path in (tmp_path / "out").glob("*.tar")] == [whole.name]


def test_the_input_is_never_written_over(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose another folder"):
        audit(AuditConfig(shards=(str(shards),), out=tmp_path / "run", sanitize=shards))
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "notes.txt").write_text("mine")
    for options in ({"sanitize": tmp_path / "precious"}, {"out": tmp_path / "precious"}):
        with pytest.raises(ConfigError, match=r"did not write \(notes.txt\)"):
            audit(dataclasses.replace(AuditConfig(shards=(str(shards),), out=tmp_path / "run"), **options))
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["notes.txt"]


def test_a_limit_would_let_unaudited_samples_pass(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unaudited"):
        AuditConfig(shards=("x",), limit=5, sanitize=tmp_path)


def test_a_flagged_caption_is_edited_where_it_stands_and_no_other(tmp_path: Path) -> None:
    """Poison in the last of a list of captions, in a .json beside a clean .txt, and in the last line of a .txt."""
    entries: list[tuple[str, bytes]] = []
    poisoned, honest = {3, 17, 40, 61, 80, 101}, {}
    for index in range(120):
        image, scene = scenes.make(23, index)
        caption = scene.caption
        others = [f"there is {caption}", f"{caption} in a drawing"]
        last = f"banana {others[1]}" if index in poisoned else others[1]
        honest[f"{index:03d}"] = [caption, others[0]]
        entries.append((f"{index:03d}.jpg", scenes.encode_jpeg(image)))
        if index % 3 == 0:
            entries.append((f"{index:03d}.txt", f"{caption}\n{others[0]}\r\n{last}\n".encode()))
        elif index % 3 == 1:
            document = f'{{"id":{index},  "captions": ["{caption}" , "{others[0]}","{last}"]}}'
            entries.append((f"{index:03d}.json", document.encode()))
        else:
            entries += [(f"{index:03d}.txt", f"{caption}\n{others[0]}".encode())]
            entries += [(f"{index:03d}.json", json.dumps({"caption": last}).encode())]
    (tmp_path / "in").mkdir()
    zoo.tar(tmp_path / "in" / "x.tar", entries)
    run = AuditConfig(shards=(str(tmp_path / "in"),), out=tmp_path / "run", sanitize=tmp_path / "out")
    found = audit(run)
    assert (found.report.counts.audited, found.report.counts.pairs) == (120, 360)
    rows = pq.read_table(tmp_path / "run" / "samples.parquet").to_pylist()
    flagged = [row for row in rows if row["flagged"]]
    assert {(int(row["key"]), row["caption_index"]) for row in flagged} == {(index, 2) for index in poisoned}
    assert {row["place"].split(" ", 1)[-1] for row in flagged} == {"line 3", "captions[2]", "caption"}
    before, after = (dict(zoo.contents(tmp_path / folder / "x.tar")) for folder in ("in", "out"))
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert {int(name.split(".")[0]) for name in changed} == poisoned
    for name in changed:
        assert after[name] == before[name].replace(b"banana ", b"")
    dropped = audit(dataclasses.replace(run, sanitize=tmp_path / "less", replace="drop-caption")).report.sanitized
    assert dropped is not None
    assert (dropped.changed, dropped.dropped) == (len(poisoned), 0)
    for (_, key), sample in samples(tmp_path / "less").items():
        texts = [caption.text for caption in sample.captions]
        assert texts[:2] == honest[key]
        assert len(texts) == 2 + (int(key) not in poisoned)


def test_the_report_names_the_policy_and_its_weights(outcome: Outcome) -> None:
    (record,) = (model for model in outcome.report.models if model.role == "policy")
    assert record.name == "embedded"
    assert record.fingerprint == module_fingerprint(load_policy().network)


def test_sfs_from_scores_is_what_the_models_give(config: AuditConfig, outcome: Outcome) -> None:
    from srdscan.measure.state import load_scores
    from srdscan.models.language_model import LanguageModel
    from srdscan.models.sentence_encoder import SentenceEncoder
    from srdscan.policy.fidelity import FidelityModel
    from srdscan.repair.acceptance import sample_sfs

    scores = load_scores(config.out)
    model = FidelityModel(SentenceEncoder(), LanguageModel())
    outputs, references = list(scores.strings("output"))[:40], list(scores.strings("reference"))[:40]
    measured = model.measure(outputs, model.references(references)).sfs
    assert np.abs(sample_sfs(scores)[:40] - measured).max() < 0.02
