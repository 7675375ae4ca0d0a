"""BYE: attention entropy, bimodal layers, a mixture of two (NeurIPS 2025)."""

import warnings
from typing import ClassVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from srdscan.lab.peers.base import Doubles, Judgement, Seen, register_peer

LEAST_SEPARATION = 2.0


@register_peer
class Bye:
    """The paper's rule: layers whose entropy is bimodal (BSI >= 2) are averaged, and the lower component of a mixture
    of two is flagged. No layer qualifies: nothing is flagged."""

    name: ClassVar[str] = "bye"
    source: ClassVar[str] = "BYE, Backdoor Your Eyes, NeurIPS 2025"
    always: ClassVar[bool] = False

    def judge(self, seen: Seen) -> Judgement:
        """By the entropy of each layer's head-averaged attention."""
        entropy = seen.layer_entropy
        separation = np.array([_separation(layer[:, None]) for layer in entropy.T])
        chosen = separation >= LEAST_SEPARATION
        if not chosen.any():
            if not self.always:
                return Judgement(-entropy.mean(axis=1), np.zeros(len(seen), dtype=bool))
            chosen = separation == separation.max()
        mean = entropy[:, chosen].mean(axis=1)
        mixture = _mixture(mean[:, None])
        low = int(np.argmin(mixture.means_[:, 0]))
        return Judgement(-mean, mixture.predict(mean[:, None]) == low)


@register_peer
class ByeAlways(Bye):
    """The same without the threshold: the most bimodal layer is used however weak it is, so that something is always
    flagged."""

    name: ClassVar[str] = "bye-always"
    always: ClassVar[bool] = True


def _mixture(values: Doubles) -> GaussianMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(2, random_state=0, n_init=3, reg_covar=1e-9).fit(values)


def _separation(values: Doubles) -> float:
    """Bimodal separation index, |mu1 - mu2| / sqrt(s1^2 + s2^2)."""
    if np.ptp(values) == 0:
        return 0.0
    mixture = _mixture(values)
    return float(abs(np.diff(mixture.means_[:, 0])[0]) / np.sqrt(mixture.covariances_.sum()))
