"""The bench: flagged images are perturbed until the captioner speaks honestly of them.

The policy is rolled out greedily on many at once; beside it what the most abnormal attention head looks at is covered,
and a pattern that lies over all of them subtracted, see `shared_pattern`. Where that frees none, the policy's ideas are
tried side by side, see `policy.search`. Of all captions on the way, the most faithful one that names no target is
taken, if it is as faithful as ordinary samples are; see also `second_look`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from srdscan.models.captioners.base import Captioner
from srdscan.policy.actions import Pixels
from srdscan.policy.episodes import Lane, Observer, View, begin
from srdscan.policy.follow import roll_out
from srdscan.policy.search import cover_peaks, look_ahead, merit
from srdscan.policy.store import Policy
from srdscan.repair.fates import Repair, fall_back
from srdscan.repair.second_look import look_again
from srdscan.repair.shared_pattern import SharedPattern
from srdscan.repair.trimming import TargetFilter

SUBTRACT = "subtract the pattern that flagged images share"


@dataclass(frozen=True)
class Attempt:
    """A lane, and what was done to its image before the lane began, in words."""

    lane: Lane
    before: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bench:
    """Where flagged images are repaired, a batch at a time.

    Attributes:
        observer: looks through the captioner under audit.
        reference: the trusted captioner.
        policy: perturbs images.
        targets: whether a caption names none of them.
        bar: SFS from which a caption will do.
        fallback: what becomes of images of which none will.
        pattern: what lies over all of them, if anything does.
        seed: of what is random in actions.
    """

    observer: Observer
    reference: Captioner
    policy: Policy
    targets: TargetFilter
    bar: float
    fallback: str
    pattern: SharedPattern | None = None
    seed: int = 0

    def repair(
        self, rows: Sequence[int], images: Sequence[Pixels], references: Sequence[str], thorough: Sequence[bool]
    ) -> dict[int, Repair]:
        """The most faithful of the allowed captions that an image gets on any way, or the fallback.

        The policy's own episode comes first, and beside it the image with its attention peak covered and that without
        the shared pattern. If none is good enough, a search goes on from the better beginning. What has changed is
        looked at twice.

        Args:
            rows: of the score files.
            images: (H, W, 3) uint8 each.
            references: trusted captions; where there is a shared pattern, those of the images without it are better.
            thorough: for which images to search and to look again.
        """
        cleaned = [self.pattern.subtract(image) for image in images] if self.pattern is not None else None
        if cleaned is not None:
            pictures = [Image.fromarray(image) for image in cleaned]
            references = self.reference.describe(self.reference.encode(pictures)).captions
        lanes = self._begin(rows, images, references)
        said = [lane.view for lane in lanes]
        roll_out(lanes, self.policy, self.observer, self.content)
        attempts = [[Attempt(lane), Attempt(self._afresh(lane))] for lane in lanes]
        cover_peaks([covered.lane for _, covered in attempts], self.observer, self.policy.space)
        if cleaned is not None:
            for each, lane in zip(attempts, self._begin(rows, cleaned, references), strict=True):
                each.append(Attempt(lane, (SUBTRACT,)))
        self._search([each for each, wanted in zip(attempts, thorough, strict=True) if wanted])
        repairs = [
            self._outcome(row, each, view, reference)
            for row, each, view, reference in zip(rows, attempts, said, references, strict=True)
        ]
        self._look_again(repairs, references, thorough)
        return {item.row: item for item in repairs}

    def content(self, view: View) -> bool:
        """Whether a caption is honest and faithful enough to stop at."""
        return view.sfs >= self.bar and self.targets(view.caption)

    def _begin(self, rows: Sequence[int], images: Sequence[Pixels], references: Sequence[str]) -> list[Lane]:
        cases = self.observer.cases(images, references)
        return [begin(case, self.seed + row, self.policy.steps) for row, case in zip(rows, cases, strict=True)]

    def _afresh(self, lane: Lane) -> Lane:
        return begin(lane.case, lane.seed, self.policy.steps)

    def _search(self, attempts: Sequence[list[Attempt]]) -> None:
        """One more attempt at every image of which no caption will do so far."""
        stuck = [each for each in attempts if not any(self.content(view) for a in each for view, _ in a.lane.trail)]
        for each in stuck:
            start = max(each, key=lambda attempt: merit(attempt.lane.case.view, self.targets))
            each.append(Attempt(self._afresh(start.lane), start.before))
        look_ahead([each[-1].lane for each in stuck], self.policy, self.observer, self.content, self.targets)

    def _outcome(self, row: int, attempts: Sequence[Attempt], said: View, reference: str) -> Repair:
        """The best allowed caption of all attempts if it clears the bar, else the fallback."""
        attempt = max(attempts, key=lambda attempt: attempt.lane.best_sfs(self.targets))
        place = attempt.lane.best(self.targets)
        if place is None:
            return fall_back(row, reference, self.fallback, said.caption, said.sfs, said.sfs)
        view, image = attempt.lane.trail[place]
        if view.sfs < self.bar:
            return fall_back(row, reference, self.fallback, said.caption, said.sfs, view.sfs)
        names = attempt.before + tuple(self.policy.space[index].name for index in attempt.lane.taken[:place])
        return Repair(row, "repaired", view.caption, names, said.caption, said.sfs, view.sfs, image if names else None)

    def _look_again(self, repairs: list[Repair], references: Sequence[str], wanted: Sequence[bool]) -> None:
        """Gives the repairs that changed an image the better caption of two looks."""
        changed = [
            (place, item.image, item.caption)
            for place, item in enumerate(repairs)
            if wanted[place] and item.image is not None and item.caption
        ]
        if not changed:
            return
        trusted = self.observer.fidelity.references([references[place] for place, _, _ in changed])
        images, captions = [image for _, image, _ in changed], [caption for _, _, caption in changed]
        found = look_again(images, captions, trusted, self.observer.captioner, self.observer.fidelity, self.targets)
        for (place, _, _), (caption, sfs) in zip(changed, found, strict=True):
            repairs[place] = replace(repairs[place], caption=caption, sfs_after=sfs)
