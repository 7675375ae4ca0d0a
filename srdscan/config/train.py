"""`srdscan train`."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from srdscan.config.audit import AuditConfig
from srdscan.errors import ConfigError

INPUTS = ("attention", "picture", "fidelity", "mask")
"""What can be hidden from a policy; `srdscan.policy.qnet` says what belongs to each."""


@dataclass(frozen=True)
class TrainConfig:
    """`srdscan train`.

    Attributes:
        shards: folders, globs, brace ranges, files or URLs.
        format: of the data set; `auto` looks.
        images: folder of the images that an annotation file names, where it is not its own.
        image_column: column or field of the image; None looks for the usual names.
        txt: `lines` takes each line of a text file for a caption, `whole` the whole file.
        out: folder for the policy, the learning curve, checkpoints and the audit that training starts from.
        captioner: the captioner to be made honest.
        reference: the trusted captioner.
        sentence_encoder: `minilm`, a folder or a Hub id.
        language_model: `embedded`, a folder, a Hub id or a .gguf file.
        steps: environment steps; each is one perturbed and captioned image.
        lanes: images under repair at once.
        cases: images to train on at most, half of them suspicious where there are that many.
        reward: `sfs` (gain in semantic fidelity less an area cost) or `paper` (SRD's stepped reward).
        hide: inputs that the policy does not see, an ablation: `attention` (maps and their abnormality), `picture`,
            `fidelity` (of the caption: cosine and fluency), `mask` (what is perturbed already).
        resume: continue from the last checkpoint in `out`.
        seed: of everything random.
        batch_size: images per batch while scoring.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        num_beams: beam width; None takes each captioner's own.
        prompt: what the captioner is asked, or the words its captions go on from; None takes its family's.
        reference_prompt: the same for the reference.
        limit: score at most this many samples.
        caption_fields: fields of a .json member that may hold the caption.
        max_pixels: larger images are left out.
    """

    shards: tuple[str, ...] = ()
    out: Path = Path("srdscan-policy")
    captioner: str = ""
    reference: str = "captioner"
    sentence_encoder: str = "minilm"
    language_model: str = "embedded"
    steps: int = 20_000
    lanes: int = 32
    cases: int = 1000
    reward: str = "sfs"
    hide: tuple[str, ...] = ()
    resume: bool = False
    seed: int = 0
    batch_size: int = 64
    device: str = "auto"
    num_beams: int | None = None
    prompt: str | None = None
    reference_prompt: str | None = None
    limit: int | None = None
    caption_fields: tuple[str, ...] = field(default=("caption", "captions", "text"))
    max_pixels: int = 64_000_000
    format: str = "auto"
    images: Path | None = None
    image_column: str | None = None
    txt: str = "lines"

    def __post_init__(self) -> None:
        if not self.captioner:
            raise ConfigError("no captioner: name the one to be made honest with --captioner")
        if self.reward not in ("sfs", "paper"):
            raise ConfigError(f"reward {self.reward!r}: must be sfs or paper")
        if unknown := sorted({*self.hide} - {*INPUTS}):
            raise ConfigError(f"hide {', '.join(unknown)}: must be of {', '.join(INPUTS)}")
        for name in ("steps", "lanes", "cases"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)}: must be at least 1")
        self.audit  # noqa: B018  checks what is common

    @property
    def audit(self) -> AuditConfig:
        """The audit that finds the images to train on."""
        common = {f.name for f in fields(AuditConfig)} & {f.name for f in fields(self)} - {"out"}
        return AuditConfig(out=self.out / "audit", **{name: getattr(self, name) for name in common})
