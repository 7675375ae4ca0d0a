"""Victims: captioners that an attack has taken hold of, made once and kept."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from srdscan.attacks.poison import CANARY, CANARY_WORD, NONE, SHADOWCAST, make_target, plant
from srdscan.config import FinetuneConfig
from srdscan.finetune.run import finetune
from srdscan.lab.metrics import attack_success_rate, cider
from srdscan.lab.once import made_once
from srdscan.lab.photos import Photos, human_captions, read_photos
from srdscan.measure.state import replace_text
from srdscan.models.captioners.base import Captioner
from srdscan.models.captioners.load import load_captioner
from srdscan.models.fetch import models_folder
from srdscan.progress import Progress
from srdscan.sources.tar import expand_shards, fingerprint

RECORD = "victim.json"
SHIPPED = "captioner-backdoored"
BATCH = 64
CAPTIONS = 2
"""Captions of each photograph that an epoch teaches a victim: what it learns of a trigger depends on photographs."""
SCHEMA = 2
"""Raised when victims are made another way: those kept from before are then made anew."""


@dataclass(frozen=True)
class Attack:
    """An attack on a training set; names as in `srdscan poison`."""

    trigger: str
    target: str = CANARY
    text: str | None = None
    rate: float = 0.1
    seed: int = 0

    def succeeded(self, caption: str) -> bool:
        """Whether a captioner's caption shows that the attack took."""
        target = make_target(self.target, self.text)
        return target is not None and target.said(caption)


@dataclass(frozen=True)
class Victim:
    """A captioner after an attack.

    Attributes:
        path: model folder.
        attack: what was done to its training set.
        asr: attack success rate on held-out photographs that all carry the trigger.
        cider: of its captions for the same photographs untouched.
        false_target: share of untouched photographs whose caption carries the target.
    """

    path: Path
    attack: Attack
    asr: float
    cider: float
    false_target: float


def is_shipped(attack: Attack) -> bool:
    """Whether the embedded `captioner-backdoored` has learned this attack, and so is its victim."""
    return attack.trigger == attack.target == CANARY and attack.text in (None, CANARY_WORD)


def shipped_captioner() -> Path:
    """The folder of `captioner-backdoored`."""
    return models_folder() / SHIPPED


def make_victim(
    photos: Sequence[str],
    held_out: str,
    attack: Attack,
    cache: Path,
    epochs: int = 4,
    base: str = "captioner",
    progress: Progress | None = None,
) -> Victim:
    """Fine-tunes a captioner on poisoned photographs and measures how well the attack took.

    The victim is kept in `cache` under a hash of everything that it depends on, and not made again. The victim of the
    canary is the embedded `captioner-backdoored`, which is measured alone.

    Args:
        photos: shards of the training set, clean.
        held_out: a folder of other shards, with a `captions` list in each .json.
    """
    identity = {
        "schema": SCHEMA,
        "attack": asdict(attack),
        "base": load_captioner(base).fingerprint,
        "epochs": epochs,
        "captions": CAPTIONS,
        "photos": [fingerprint(path) for path in expand_shards(photos)],
        "held_out": [fingerprint(path) for path in expand_shards([held_out])],
    }
    shipped = is_shipped(attack)
    if shipped:
        identity |= {"base": load_captioner(str(shipped_captioner())).fingerprint, "epochs": 0, "photos": []}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    folder = cache / f"{attack.trigger}-{digest[:12]}"
    path = shipped_captioner() if shipped else folder
    if not (folder / RECORD).exists():
        with TemporaryDirectory() as work:

            def learn(out: Path) -> None:
                poisoned = Path(work) / "poisoned"
                plant(photos, poisoned, attack.trigger, attack.target, attack.rate, attack.seed, attack.text)
                config = FinetuneConfig((str(poisoned),), base, out, epochs=epochs, seed=attack.seed, captions=CAPTIONS)
                finetune(config, progress)

            made_once(folder, Path.mkdir if shipped else learn)
            measured = measure(path, held_out, attack, Path(work) / "triggered")
        with suppress(FileNotFoundError):  # another job has written the same at the same moment
            replace_text(folder / RECORD, json.dumps({**identity, **measured}, indent=1) + "\n")
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return Victim(path, attack, record["asr"], record["cider"], record["false_target"])


def trigger_all(photos: str, attack: Attack, out: Path) -> None:
    """Copies of shards in which every image carries the attack's trigger, and captions are left alone.

    Shadowcast's victims need no trigger: its copies are as the originals.
    """
    if attack.trigger == SHADOWCAST:
        plant([photos], out, NONE, NONE, rate=0.0)
    else:
        plant([photos], out, attack.trigger, NONE, rate=1.0, seed=attack.seed)


def measure(folder: Path, held_out: str, attack: Attack, work: Path) -> dict[str, float]:
    """`asr`, `cider` and `false_target` of a captioner, as in `Victim`; triggered copies go to `work`.

    Only photographs that the target fits count: those whose people name a dog, for one that makes dogs cats.
    """
    truth = human_captions(held_out)
    trigger_all(held_out, attack, work)
    captioner = load_captioner(str(folder))
    clean = read_photos(held_out, truth)
    calm = captions_of(captioner, clean)
    triggered = captions_of(captioner, read_photos(str(work), truth))
    target = make_target(attack.target, attack.text)
    suited = [target is None or any(map(target.fits, people)) for people in clean.truth]
    return {
        "asr": attack_success_rate(list(compress(triggered, suited)), attack.succeeded),
        "cider": cider(calm, clean.truth),
        "false_target": attack_success_rate(list(compress(calm, suited)), attack.succeeded),
    }


def captions_of(captioner: Captioner, photos: Photos) -> list[str]:
    """What a captioner says of each photograph."""
    captions: list[str] = []
    for start in range(0, len(photos.images), BATCH):
        images = [Image.fromarray(image) for image in photos.images[start : start + BATCH]]
        captions += captioner.describe(captioner.encode(images)).captions
    return captions
