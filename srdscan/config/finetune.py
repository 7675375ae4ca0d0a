"""`srdscan finetune`."""

from dataclasses import dataclass, field
from pathlib import Path

from srdscan.errors import ConfigError
from srdscan.sources.base import ReadOptions


@dataclass(frozen=True)
class FinetuneConfig:
    """`srdscan finetune`.

    Attributes:
        shards: folders, globs, brace ranges, files or URLs.
        format: of the data set; `auto` looks.
        images: folder of the images that an annotation file names, where it is not its own.
        image_column: column or field of the image; None looks for the usual names.
        txt: `lines` takes each line of a text file for a caption, `whole` the whole file.
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
        caption_fields: fields of JSON and columns of tables that hold captions; all that are there are learned.
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
    format: str = "auto"
    images: Path | None = None
    image_column: str | None = None
    txt: str = "lines"

    @property
    def reading(self) -> ReadOptions:
        """How units are read into samples."""
        return ReadOptions(self.caption_fields, self.image_column, "whole" if self.txt == "whole" else "lines")

    def __post_init__(self) -> None:
        if not self.shards:
            raise ConfigError("no data: name a folder, a glob, a brace range, a file or a URL")
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
