"""`srdscan audit`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from srdscan.errors import ConfigError, meant
from srdscan.rules import ignored_codes, severities
from srdscan.sources.base import ReadOptions

REPLACE = ("caption", "image+caption", "drop", "drop-caption")
TXT = ("lines", "whole")
REPORTS = (
    "sarif",
    "junit",
    "github",
    "gitlab",
    "attestation",
    "checksums",
    "croissant",
    "card",
    "removal-list",
    "keep-list",
    "datacomp",
)
NAMED = ("datacomp",)
"""Forms that few data sets can have: `all` leaves them out."""
FALLBACK = ("reference", "drop", "quarantine")
LIMITS = ("on", "off")
ENGINES = ("local", "ray")
HOW = ("engine", "workers", "ray_address", "rank", "world_size", "merge", "rehash")
"""Settings that say how an audit is computed, and change nothing of what it finds."""
RANK_LACKS = {
    "sanitize": "a job decides nothing; give --sanitize to the audit that merges the jobs",
    "canary": "jobs need one and the same canary. Make it with `srdscan finetune`, and pass its folder as --captioner",
    "merge": "merge the jobs when all of them are done",
}
"""What does not go with a part of a data set, and what to do in its place."""


@dataclass(frozen=True)
class AuditConfig:
    """`srdscan audit`.

    Attributes:
        shards: folders, globs, brace ranges, files or URLs.
        format: of the data set, as in `srdscan.sources.find.FORMATS`; `auto` looks.
        images: folder of the images that an annotation file names, where it is not its own.
        image_column: column or field of the image; None looks for the usual names.
        txt: `lines` takes each line of a text file for a caption, `whole` the whole file.
        out: folder for the report, the scores and the state of the run.
        captioner: the captioner under audit; None audits the data set's captions alone (pair audit).
        quick: a first look at the speed of the encoder: no captioner says anything, and what needs one abstains.
        reference: the trusted captioner.
        matcher: what tells whether caption and image belong together: `embedded`, or a folder or Hub id of a CLIP or
            SigLIP.
        sentence_encoder: `minilm`, a folder or a Hub id.
        language_model: `embedded`, a folder, a Hub id or a .gguf file.
        calibration: folder of an earlier audit of trusted clean shards with the same models, for exact p-values.
        fdr: false-discovery rate that flagging is held to, in (0, 1).
        max_unaudited: share of samples that could not be audited, or not wholly, above which the audit is incomplete.
        fail_on: `any`, `rate=0.01` (fail above this share of flagged samples), `count=5` (above this number), `never`.
        batch_size: images per batch.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        num_beams: beam width; None takes each captioner's own.
        prompt: what the captioner under audit is asked, or the words its captions go on from; None takes its family's.
        reference_prompt: the same for the reference.
        limit: audit at most this many samples.
        seed: of the random controls of peak ablation.
        caption_fields: fields of JSON and columns of tables that hold captions; all that are there are audited.
        max_pixels: larger images are irregular, never decoded.
        pictures: how many flagged samples the HTML report shows.
        policy: `embedded`, a folder or a file that `srdscan train` wrote; what repairs flagged images.
        sanitize: folder for the sanitized shards; None writes none.
        replace: what of a flagged sample is replaced: the flagged `caption`, `image+caption`, or `drop` (the sample
            goes) or `drop-caption` (only the flagged caption goes; with the last one, the sample).
        canary: fine-tune a captioner on the shards first, and audit that one: it has learned whatever they teach.
        canary_epochs: passes over the samples for it.
        fallback: what happens where no honest caption is found: `reference` (the reference caption is taken), `drop`,
            or `quarantine` (gone as with drop, but reported as waiting for a person's decision).
        select: rules that are heard, by code or prefix; all if empty.
        ignore: rules that are not heard; where both name a rule, the longer code or prefix counts.
        severity: code or prefix -> `error`, `warning` or `note`; a note never fails the gate.
        baseline: file of findings that were accepted; only others fail the gate.
        limits: `on` plants known poison into the audit's own scores to tell what would have been found, `off` does not.
        require_detection: in how many samples the plainest attacks must be found, or nothing found is inconclusive; 0
            demands nothing, None the larger of 25 samples and 1 % of data sets of at least 250.
        report: further forms of the report: some of `REPORTS`, or `all` but those in `NAMED`.
        engine: what scores the units: `local` (this machine) or `ray`.
        workers: units scored at once; None takes one a GPU, or one if there is none.
        ray_address: of a running Ray cluster; None takes RAY_ADDRESS, or starts Ray on this machine.
        rank: which of `world_size` jobs this is, from 0: only its units are scored, and nothing is decided.
        world_size: jobs that share the data set.
        merge: folders that such jobs left, or a folder of these; their scores are decided over, nothing is scored.
        signals: of plug-ins that are heard beside srdscan's own, by name.
        rehash: hash units that an earlier run completed even where their files' times say that nobody touched them.
    """

    shards: tuple[str, ...] = ()
    out: Path = Path("srdscan-report")
    captioner: str | None = None
    quick: bool = False
    reference: str = "captioner"
    matcher: str = "embedded"
    sentence_encoder: str = "minilm"
    language_model: str = "embedded"
    calibration: Path | None = None
    fdr: float = 0.01
    max_unaudited: float = 0.01
    fail_on: str = "any"
    batch_size: int = 64
    device: str = "auto"
    num_beams: int | None = None
    prompt: str | None = None
    reference_prompt: str | None = None
    limit: int | None = None
    seed: int = 0
    caption_fields: tuple[str, ...] = field(default=("caption", "captions", "text"))
    max_pixels: int = 64_000_000
    pictures: int = 200
    policy: str = "embedded"
    sanitize: Path | None = None
    replace: str = "caption"
    fallback: str = "reference"
    canary: bool = False
    canary_epochs: int = 4
    format: str = "auto"
    images: Path | None = None
    image_column: str | None = None
    txt: str = "lines"
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: Mapping[str, str] = field(default_factory=dict)
    baseline: Path | None = None
    report: tuple[str, ...] = ()
    limits: str = "on"
    require_detection: int | None = None
    engine: str = "local"
    workers: int | None = None
    ray_address: str | None = None
    rank: int | None = None
    world_size: int | None = None
    merge: tuple[str, ...] = ()
    rehash: bool = False
    signals: tuple[str, ...] = ()

    @property
    def reading(self) -> ReadOptions:
        """How units are read into samples."""
        return ReadOptions(self.caption_fields, self.image_column, "whole" if self.txt == "whole" else "lines")

    @property
    def ignored(self) -> frozenset[str]:
        """Codes of the rules that are not heard."""
        return ignored_codes(self.select, self.ignore)

    @property
    def reports(self) -> tuple[str, ...]:
        """Further forms of the report, each once."""
        return chosen_reports(self.report)

    def __post_init__(self) -> None:
        if not self.shards:
            raise ConfigError(
                "no data: name a folder, a glob, a brace range, a file or a URL, as in `srdscan audit shards/`"
            )
        if not 0 < self.fdr < 1:
            raise ConfigError(f"fdr {self.fdr}: must lie between 0 and 1, for example 0.01")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size {self.batch_size}: must be at least 1")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit {self.limit}: must be at least 1")
        if self.num_beams is not None and self.num_beams < 1:
            raise ConfigError(f"num_beams {self.num_beams}: must be at least 1")
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed}: must not be negative")
        if self.max_pixels < 1:
            raise ConfigError(f"max_pixels {self.max_pixels}: must be at least 1")
        if self.pictures < 0:
            raise ConfigError(f"pictures {self.pictures}: must not be negative")
        if self.limit is not None and self.sanitize is not None:
            raise ConfigError(
                "limit and sanitize: samples beyond the limit would pass unaudited; leave one of them out"
            )
        for name, known in (("replace", REPLACE), ("fallback", FALLBACK), ("txt", TXT), ("limits", LIMITS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} {getattr(self, name)!r}: must be one of {', '.join(known)}")
        if self.canary and self.captioner is not None:
            raise ConfigError("canary and captioner: a canary is the captioner under audit; leave one of them out")
        if self.canary and self.limit is not None:
            raise ConfigError("canary and limit: a canary learns from all samples; leave one of them out")
        for name in ("captioner", "canary", "sanitize") if self.quick else ():
            if getattr(self, name):
                raise ConfigError(f"quick and {name}: a quick look asks no captioner; leave one of them out")
        if self.quick and self.reference != "captioner":
            raise ConfigError(
                "quick and reference: a quick look asks no captioner, only the embedded one's encoder; leave one of "
                "them out"
            )
        if self.canary_epochs < 1:
            raise ConfigError(f"canary_epochs {self.canary_epochs}: must be at least 1")
        if not 0 <= self.max_unaudited <= 1:
            raise ConfigError(f"max_unaudited {self.max_unaudited}: must be a share from 0 to 1, for example 0.01")
        if self.require_detection is not None and self.require_detection < 0:
            raise ConfigError(f"require_detection {self.require_detection}: must not be negative; 0 demands nothing")
        if self.require_detection and self.limits == "off":
            raise ConfigError("require_detection and limits: what is required is not measured with limits off")
        most_flagged(self.fail_on, 1)
        self._check_engine()
        ignored_codes(self.select, self.ignore)
        severities(self.severity)
        chosen_reports(self.report)

    def _check_engine(self) -> None:
        if self.engine not in ENGINES:
            raise ConfigError(f"engine {self.engine!r}: must be one of {', '.join(ENGINES)}")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers {self.workers}: must be at least 1")
        if self.ray_address is not None and self.engine != "ray":
            raise ConfigError("ray_address: belongs to engine ray; add --engine ray")
        if (self.rank is None) != (self.world_size is None):
            raise ConfigError("rank and world_size: belong together, such as --rank 0 --world-size 4")
        if self.rank is not None and self.world_size is not None and not 0 <= self.rank < self.world_size:
            raise ConfigError(f"rank {self.rank}: must be from 0 to {self.world_size - 1}, for {self.world_size} jobs")
        several = (self.workers or 1) > 1 or self.engine == "ray" or self.rank is not None or self.merge
        if self.limit is not None and several:
            raise ConfigError(
                "limit: which samples are the first is known to a single process alone; leave it out, or leave out "
                "workers, engine, rank and merge"
            )
        for name, wanted in (("sanitize", self.sanitize), ("canary", self.canary), ("merge", self.merge)):
            if self.rank is not None and wanted:
                raise ConfigError(f"rank and {name}: {RANK_LACKS[name]}")
        if self.canary and self.merge:
            raise ConfigError(f"merge and canary: {RANK_LACKS['canary']}")


def chosen_reports(names: Sequence[str]) -> tuple[str, ...]:
    """Forms of the report, each once.

    Raises:
        ConfigError: a name is none.

    >>> chosen_reports(["junit", "junit"]), chosen_reports(["all", "datacomp"]) == REPORTS
    (('junit',), True)
    """
    for name in names:
        if name not in (*REPORTS, "all"):
            raise ConfigError(f"report {name!r}: must be one of {', '.join(REPORTS)}, or all.{meant(name, REPORTS)}")
    if "all" in names:
        return tuple(name for name in REPORTS if name not in NAMED or name in names)
    return tuple(dict.fromkeys(names))


def most_flagged(fail_on: str, samples: int) -> float | None:
    """The number of flagged samples up to which the gate passes; None never fails.

    >>> [most_flagged(rule, 600) for rule in ("any", "rate=0.01", "count=3", "never")]
    [0.0, 6.0, 3.0, None]

    Args:
        samples: that were audited.

    Raises:
        ConfigError: it is none of these.
    """
    if fail_on == "never":
        return None
    if fail_on == "any":
        return 0.0
    if match := re.fullmatch(r"rate=(\d*\.?\d+(?:e-?\d+)?)", fail_on):
        if float(match.group(1)) <= 1:
            return float(match.group(1)) * samples
    elif match := re.fullmatch(r"count=(\d+)", fail_on):
        return float(match.group(1))
    raise ConfigError(
        f"fail_on {fail_on!r}: must be any, never, count=NUMBER (count=3), or rate=SHARE with a share from 0 to 1 "
        "(rate=0.01)"
    )
