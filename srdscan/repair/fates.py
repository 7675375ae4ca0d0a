"""What becomes of a flagged sample."""

from dataclasses import dataclass

from srdscan.policy.actions import Pixels


@dataclass(frozen=True)
class Repair:
    """What became of a flagged sample.

    Attributes:
        row: of the score files.
        fate: `trimmed` (its own caption without the target), `repaired` (the captioner's own honest caption),
            `reference` (the reference caption took its place), `dropped` or `quarantined` (no longer in the data set).
        caption: the new caption; None if it, or its sample, left the data set.
        actions: what was done to the image before the captioner spoke honestly, in words; empty where it took nothing.
        said: what the captioner says of the image as it is; None in a pair audit.
        sfs_before: of what it says of the image as it is; NaN in a pair audit.
        sfs_after: of the best caption on the way.
        image: the perturbed image; None where no action was taken.
        only_caption: of what left the data set, whether the sample's other captions stay.
    """

    row: int
    fate: str
    caption: str | None
    actions: tuple[str, ...] = ()
    said: str | None = None
    sfs_before: float = float("nan")
    sfs_after: float = float("nan")
    image: Pixels | None = None
    only_caption: bool = False


def fall_back(
    row: int,
    reference: str,
    fallback: str,
    said: str | None = None,
    before: float = float("nan"),
    after: float = float("nan"),
) -> Repair:
    """What `--fallback` makes of a sample without an honest caption of the captioner's."""
    fate = {"reference": "reference", "drop": "dropped", "quarantine": "quarantined"}[fallback]
    return Repair(row, fate, reference if fate == "reference" else None, (), said, before, after)


def discard(row: int, only_caption: bool = False) -> Repair:
    """The fate of a flagged sample under `--replace drop`, or of a flagged caption under `--replace drop-caption`."""
    return Repair(row, "dropped", None, only_caption=only_caption)
