"""`srdscan finetune`."""

from dataclasses import dataclass, field
from pathlib import Path

from srdscan.errors import ConfigError


@dataclass(frozen=True)
class FinetuneConfig:
    """`srdscan finetune`.

    Attributes:
        shards: folders, globs, brace ranges, paths or http(s) URLs.
        base: the captioner to start from: `captioner` (embedded), a folder or a Hub id of any family.
        out: folder for the fine-tuned captioner.
        epochs: passes over the samples.
        learning_rate: peak of a cosine; None takes what suits the captioner.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`; the embedded captioner's small decoder always learns on the CPU.
        prompt: what the captioner is asked, or the words that its captions go on from; None takes its family's.
        seed: order of the samples, dropout.
        captions: captions of each sample that a pass learns, drawn anew each time; None learns all of them. Two of five
            make a pass twice as fast.
        limit: learn from at most this many samples.
        caption_fields: fields of a .json member that may hold captions; every caption in the first one present is
            learned.
        max_pixels: larger images are left out.
    """

    shards: tuple[str, ...] = ()
    base: str = "captioner"
    out: Path = Path("srdscan-canary")
    epochs: int = 4
    learning_rate: float | None = None
    device: str = "auto"
    prompt: str | None = None
    seed: int = 0
    captions: int | None = None
    limit: int | None = None
    caption_fields: tuple[str, ...] = field(default=("caption", "captions", "text"))
    max_pixels: int = 64_000_000

    def __post_init__(self) -> None:
        if not self.shards:
            raise ConfigError("no shards: name a folder, a glob, a brace range, a path or a URL")
        if self.epochs < 1:
            raise ConfigError(f"epochs {self.epochs}: must be at least 1")
        if self.learning_rate is not None and not 0 < self.learning_rate < 1:
            raise ConfigError(f"learning_rate {self.learning_rate}: must lie between 0 and 1, for example 0.0005")
        if self.captions is not None and self.captions < 1:
            raise ConfigError(f"captions {self.captions}: must be at least 1")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit {self.limit}: must be at least 1")
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed}: must not be negative")
