"""Worlds: pair audits of data sets of several kinds, each as it is and with a few poisoned samples.

A data set is read once. Poison is planted in its scores (`measure.rescore`): the chosen samples are scored anew, the
decision is made over all of them as if they had always been so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from PIL import Image

from srdscan.attacks.poison import make_target, make_trigger
from srdscan.audit import Examined, examine, judge, open_models, with_spots
from srdscan.config import AuditConfig
from srdscan.decide.fit import measure_fit
from srdscan.decide.verdicts import STRONG, Verdicts
from srdscan.findings import spots
from srdscan.findings.copies import Spot
from srdscan.lab.experiment import ONE_PICTURE, SWAPPED, Experiment
from srdscan.lab.jobs import Job, Places, Result
from srdscan.lab.tables import Table, mean_or_dash
from srdscan.lab.victims import Attack
from srdscan.measure.rescore import Edited, rescored
from srdscan.measure.revisit import EditedImages, ImageSource
from srdscan.models.loaded import Models
from srdscan.progress import Quiet
from srdscan.signals import signals_for

MOST_SHARE = 0.15
"""Of a data set that is poisoned; greater counts are left out."""

Indices = npt.NDArray[np.int64]


def jobs(experiment: Experiment, places: Places) -> list[Job]:
    """One a data set."""
    return [Job(experiment, None, places, variant=name) for name in places.worlds]


@dataclass(frozen=True)
class World:
    """A data set that was audited as it is, and the models that did it."""

    config: AuditConfig
    models: Models
    examined: Examined


def work(job: Job, folder: Path) -> Result:
    """The audit of the data set as it is, and a row for each attack, count and seed."""
    assert job.variant is not None
    config = AuditConfig(shards=(job.places.worlds[job.variant],), out=folder / "audit", pictures=0)
    models = open_models(config)
    world = World(config, models, examine(config, models, Quiet()))
    verdicts = world.examined.verdicts
    found: Result = {
        "samples": verdicts.samples,
        "false alarms": verdicts.flagged_samples,
        "false targets": [finding.term for finding in verdicts.findings],
        "spots": [len(spot.images) for spot in world.examined.spots],
        "fits": all(item.fits for item in world.examined.fit),
        "rows": [],
    }
    for planned in job.experiment.attacks:
        for count in job.experiment.counts:
            for seed in range(job.experiment.seeds):
                if count <= MOST_SHARE * verdicts.samples:
                    row = planted(world, planned.attack, count, seed)
                    found["rows"].append({"attack": planned.label, "count": count, "seed": seed, **row})
    return found


def planted(world: World, attack: Attack, count: int, seed: int) -> Result:
    """What an audit finds of some poisoned samples: recall, false alarms, whether a finding holds most of them."""
    scores = world.examined.scores
    random = np.random.default_rng([seed, count])
    edited = poisoned(world.examined, attack, count, random)
    if not edited:
        return {"poisoned": 0}
    truth = np.isin(scores.image_of, list(edited))
    with TemporaryDirectory() as folder:
        changed = rescored(scores, edited, world.models, signals_for(model_audit=False), Path(folder))
        config, examined = world.config, world.examined
        fit = measure_fit(changed, ("caption",))
        verdicts = judge(
            config, examined.source, examined.records, changed, world.models, None, fit, Quiet(), examined.embed
        )
        found = examined.spots
        planted_in_images = make_trigger(_trigger(attack)) is not None
        if planted_in_images:
            each = changed.by_image
            original = ImageSource(
                examined.source, examined.records, each, config.reading, config.batch_size, config.max_pixels
            )
            images = EditedImages(original, each, {image: item.image for image, item in edited.items()})
            found = spots.search(each, images, config.seed, lambda count: None).found
        row = _figures(with_spots(verdicts, found, changed, config), truth)
    return row | _spotted(found, edited) if planted_in_images else row


def _figures(verdicts: Verdicts, truth: npt.NDArray[np.bool_]) -> Result:
    return {
        "poisoned": int(truth.sum()),
        "found": int((verdicts.flagged & truth).sum()),
        "false alarms": int((verdicts.flagged & ~truth).sum()),
        "targets": [finding.term for finding in verdicts.findings],
        "by": {name: int((part.p_values[truth] < STRONG).sum()) for name, part in verdicts.evidence.items()},
    }


def _spotted(found: Sequence[Spot], edited: Mapping[int, Edited]) -> Result:
    """Share of the images that the spot with most of them holds, and how many others it does."""
    held = [(int(np.isin(spot.images, list(edited)).sum()), len(spot.images)) for spot in found]
    most, images = max(held, default=(0, 0))
    return {"spot": most / len(edited), "spot, others": images - most if most else 0}


def poisoned(examined: Examined, attack: Attack, count: int, random: np.random.Generator) -> dict[int, Edited]:
    """Images and captions after an attack, by the number of the image; fewer where the target fits fewer."""
    scores = examined.scores
    target, trigger = make_target(_target(attack), attack.text), make_trigger(_trigger(attack))
    captions = list(scores.strings("caption"))
    first = np.flatnonzero(np.diff(scores.image_of, prepend=-1))
    fitting = np.flatnonzero([target is None or target.fits(captions[row]) for row in first])
    chosen = np.sort(random.permutation(fitting)[:count])
    pictures: dict[int, Image.Image] = {}
    by_image = ImageSource(
        examined.source, examined.records, scores.by_image, examined.images.reading, 64, examined.images.max_pixels
    )
    for rows, images in by_image.images(chosen):
        pictures |= dict(zip(rows, images, strict=True))
    said = {image: [captions[row] for row in np.flatnonzero(scores.image_of == image)] for image in pictures}
    if attack.target == SWAPPED:
        order = list(pictures)
        donors = dict(zip(order, [*order[1:], order[0]], strict=True))
        said = {image: _of_length(said[donors[image]], len(said[image])) for image in order}
    elif target is not None:
        said = {image: [target.apply(text, random) for text in texts] for image, texts in said.items()}
    if attack.trigger == ONE_PICTURE and pictures:
        pictures = dict.fromkeys(pictures, pictures[min(pictures)])
    elif trigger is not None:
        pictures = {
            image: Image.fromarray(trigger.apply(np.asarray(picture), random)) for image, picture in pictures.items()
        }
    return {image: Edited(picture, said[image]) for image, picture in pictures.items()}


def _of_length(texts: Sequence[str], count: int) -> list[str]:
    return [texts[place % len(texts)] for place in range(count)]


def _target(attack: Attack) -> str:
    return "none" if attack.target == SWAPPED else attack.target


def _trigger(attack: Attack) -> str:
    return "none" if attack.trigger == ONE_PICTURE else attack.trigger


def tables(results: Mapping[str, Result]) -> list[Table]:
    """Recall of each attack by world, the worst world and the mean; data sets as they are."""
    clean = Table("clean", ["world", "samples", "models fit", "flagged", "targets named", "spots"])
    for name, result in results.items():
        targets, found = ", ".join(result["false targets"]) or "-", ", ".join(map(str, result["spots"])) or "-"
        fits = "yes" if result["fits"] else "no"
        clean.add(name, result["samples"], fits, result["false alarms"], targets, found)
    recall = Table("recall", ["attack", "poisoned", "mean", "worst", "most false alarms", *results])
    spot = Table("spots", ["attack", "poisoned", "mean", "worst", "others", *results])
    every = [{**row, "world": name} for name, result in results.items() for row in result["rows"] if row["poisoned"]]
    for attack, count in dict.fromkeys((row["attack"], row["count"]) for row in every):
        mine = [row for row in every if (row["attack"], row["count"]) == (attack, count)]
        _add(recall, mine, results, [row["found"] / row["poisoned"] for row in mine], "false alarms")
        if "spot" in mine[0]:
            _add(spot, mine, results, [row["spot"] for row in mine], "spot, others")
    return [clean, recall, spot] if spot.rows else [clean, recall]


def _add(table: Table, rows: Sequence[Result], worlds: Iterable[str], values: Sequence[float], others: str) -> None:
    """A line of the mean of each world."""
    of_world = [[v for row, v in zip(rows, values, strict=True) if row["world"] == name] for name in worlds]
    means = [float(np.mean(mine)) for mine in of_world if mine]
    mean, worst = f"{np.mean(means):.2f}", f"{min(means):.2f}"
    cells = [mean_or_dash(mine, 2) for mine in of_world]
    table.add(rows[0]["attack"], rows[0]["count"], mean, worst, max(row[others] for row in rows), *cells)
