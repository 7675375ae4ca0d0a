"""What was planted, as `truth.json` holds it."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Truth:
    """What was planted, as `truth.json` holds it.

    Attributes:
        trigger: its name.
        target: what the captions were made to say; empty if they were left alone.
        rate: share of the samples that was asked for.
        seed: of the choice of samples and places.
        poisoned: (shard, key) of each.
        psnr: of poisoned images against the originals, in dB, the mean; None if images were left alone.
        ssim: the same in structural similarity, 1 for equal images.
    """

    trigger: str
    target: str
    rate: float
    seed: int
    poisoned: tuple[tuple[str, str], ...]
    psnr: float | None = None
    ssim: float | None = None

    def write(self, path: Path) -> None:
        """Writes truth.json."""
        document = {
            "trigger": self.trigger,
            "target": self.target,
            "rate": self.rate,
            "seed": self.seed,
            "psnr": self.psnr,
            "ssim": self.ssim,
            "poisoned": [{"shard": shard, "key": key} for shard, key in self.poisoned],
        }
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Truth":
        """What `write` wrote."""
        document = json.loads(path.read_text(encoding="utf-8"))
        places = tuple((item["shard"], item["key"]) for item in document.pop("poisoned"))
        return cls(**document, poisoned=places)
