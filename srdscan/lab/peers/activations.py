"""Spectral signatures and activation clustering, by the Adversarial Robustness Toolbox itself.

Both are made for classifiers: they work within each class. Captions have no classes, so clusters of the reference
captions stand for them; the decoder's hidden state stands for the penultimate layer.
"""

import logging
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.cluster import KMeans

from srdscan.lab.peers.base import Judgement, Seen, register_peer

CLASSES = 5
EXPECTED = 0.1
"""Share of poison that spectral signatures are told to expect."""


@register_peer
class SpectralSignatures:
    """Squared projection on the top singular vector of a class's centred activations; the largest go."""

    name: ClassVar[str] = "spectral"
    source: ClassVar[str] = "Spectral signatures, Tran et al., NeurIPS 2018, arXiv 1811.00636"

    def judge(self, seen: Seen) -> Judgement:
        """By ART's `SpectralSignatureDefense`."""
        from art.defences.detector.poison import SpectralSignatureDefense

        classifier, points, classes = _as_classifier(seen)
        defence = SpectralSignatureDefense(
            classifier, points, classes, expected_pp_poison=EXPECTED, batch_size=256, eps_multiplier=1.5
        )
        _, clean = defence.detect_poison()
        scores = np.zeros(len(seen))
        numbers = classes.argmax(axis=1)
        for number in range(classes.shape[1]):
            rows = np.flatnonzero(numbers == number)
            scores[rows] = SpectralSignatureDefense.spectral_signature_scores(points[rows])[:, 0] if len(rows) else 0
        return Judgement(scores, np.asarray(clean) == 0)


@register_peer
class ActivationClustering:
    """Two clusters of each class's activations; the smaller one goes."""

    name: ClassVar[str] = "clustering"
    source: ClassVar[str] = "Activation clustering, Chen et al., arXiv 1811.03728"

    def judge(self, seen: Seen) -> Judgement:
        """By ART's `ActivationDefence`, with its defaults."""
        from art.defences.detector.poison import ActivationDefence

        classifier, points, classes = _as_classifier(seen)
        if not np.ptp(points, axis=0).any():  # copies of one sample cannot be parted in two
            return Judgement(np.zeros(len(seen)), np.zeros(len(seen), dtype=bool))
        state = np.random.get_state()  # ART draws from the global generator
        np.random.seed(0)
        try:
            defence = ActivationDefence(classifier, points, classes)
            _, clean = defence.detect_poison(nb_clusters=2, nb_dims=10, reduce="PCA", cluster_analysis="smaller")
        finally:
            np.random.set_state(state)
        flagged = np.asarray(clean) == 0
        return Judgement(flagged.astype(np.float64), flagged)


def _as_classifier(seen: Seen) -> tuple[Any, Any, Any]:
    """ART's classifier, (N, D) float32 activations and (N, C) one-hot classes."""
    try:
        from art.estimators.classification import PyTorchClassifier
    except ImportError as error:
        raise ImportError("spectral signatures and activation clustering need: pip install 'srdscan[lab]'") from error
    logging.getLogger("art").setLevel(logging.ERROR)
    count = max(2, min(CLASSES, len(seen) // 20))
    numbers = KMeans(count, n_init=4, random_state=0).fit_predict(seen.reference_embeddings)
    present, numbers = np.unique(numbers, return_inverse=True)  # ART fails on a class without samples
    if len(present) == 1:
        numbers = np.arange(len(seen)) % 2
    count = int(numbers.max()) + 1
    points = seen.hidden.astype(np.float32)
    model = torch.nn.Sequential(torch.nn.Identity())  # ART looks at the last layer: there, the activations are
    classifier = PyTorchClassifier(
        model, torch.nn.CrossEntropyLoss(), input_shape=(points.shape[1],), nb_classes=count, device_type="cpu"
    )
    return classifier, points, np.eye(count)[numbers]
