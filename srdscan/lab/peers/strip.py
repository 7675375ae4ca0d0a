"""STRIP for captions: what is said although the image is mixed with another (ACSAC 2019)."""

from typing import ClassVar

from scipy import stats

from srdscan.lab.peers.base import Judgement, Seen, register_peer
from srdscan.lab.peers.rules import far_out

FALSE_ALARMS = 0.01


@register_peer
class Strip:
    """Constancy of the output under blending, flagged at STRIP's false-rejection rate of 1 % of a normal bulk."""

    name: ClassVar[str] = "strip"
    source: ClassVar[str] = "STRIP, Gao et al., ACSAC 2019, arXiv 1902.06531"

    def judge(self, seen: Seen) -> Judgement:
        """By how little blending changes what is said."""
        return Judgement(seen.constancy, far_out(seen.constancy, float(stats.norm.isf(FALSE_ALARMS))))
