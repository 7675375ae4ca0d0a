"""What all defences of a victim start from: photographs with and without the trigger, looked at once."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from srdscan.audit import audit, open_models
from srdscan.config import AuditConfig
from srdscan.lab.defences import first_looks
from srdscan.lab.jobs import Places
from srdscan.lab.photos import ONE_CAPTION, Photos, first_photos, human_captions, read_photos
from srdscan.lab.victims import Victim, captions_of, trigger_all
from srdscan.measure.state import load_scores
from srdscan.models.captioners.base import Captioner
from srdscan.policy.episodes import Case, Observer
from srdscan.policy.fidelity import FidelityModel
from srdscan.signals.head_norms import head_norms


@dataclass(frozen=True)
class Looked:
    """Photographs with what was seen in them.

    Attributes:
        photos: the photographs.
        references: a trusted caption of each.
        cases: what the victim says of each as it is.
        reference_seconds: the time that the trusted captions took.
        seconds: the time that all of this took.
    """

    photos: Photos
    references: list[str]
    cases: list[Case]
    reference_seconds: float
    seconds: float


@dataclass(frozen=True)
class Setting:
    """A victim with photographs to defend it on.

    Attributes:
        sets: `triggered`, in which all carry the trigger, and `clean`, the same untouched.
        observer: looks at images through the victim.
        calibration: folder of the victim's audit of trusted photographs.
    """

    sets: Mapping[str, Looked]
    observer: Observer
    calibration: Path

    @property
    def people(self) -> list[list[str]]:
        """The human captions of each photograph."""
        return self.sets["clean"].photos.truth


def set_up(places: Places, victim: Victim, folder: Path, photos: int | None = None) -> Setting:
    """Plants the trigger in every photograph of `places.dev`, calibrates, and takes first looks; works in `folder`.

    Args:
        photos: how many photographs of `places.dev`, the first ones; all if None.
    """
    prepare(places, victim, folder, photos)
    return look(places, victim, folder)


def prepare(places: Places, victim: Victim, folder: Path, photos: int | None = None) -> None:
    """Writes what `look` looks at to `folder`: photographs with the trigger and without, and a calibration."""
    clean = first_photos(places.dev, photos or sys.maxsize, folder / "clean")
    trigger_all(clean, victim.attack, folder / "triggered")
    audit(_calibrating(places, victim, folder))


def look(places: Places, victim: Victim, folder: Path) -> Setting:
    """What the victim, and a trusted captioner, say of photographs that `prepare` wrote."""
    config = _calibrating(places, victim, folder)
    models = open_models(config)
    assert models.captioner is not None
    fidelity = FidelityModel(models.sentence_encoder, models.language_model)
    observer = Observer(models.captioner, fidelity, head_norms(load_scores(config.out)))
    truth = human_captions(places.dev)
    sets = {
        name: _look(read_photos(str(folder / name), truth), observer, models.reference)
        for name in ("triggered", "clean")
    }
    return Setting(sets, observer, config.out)


def _calibrating(places: Places, victim: Victim, folder: Path) -> AuditConfig:
    return AuditConfig(
        shards=(places.calibration,),
        captioner=str(victim.path),
        out=folder / "calibration",
        pictures=0,
        limits="off",
        caption_fields=ONE_CAPTION,
    )


def _look(photos: Photos, observer: Observer, reference: Captioner) -> Looked:
    started = time.perf_counter()
    references = captions_of(reference, photos)
    captioned = time.perf_counter()
    cases = first_looks(photos, observer, references)
    return Looked(photos, references, cases, captioned - started, time.perf_counter() - started)
