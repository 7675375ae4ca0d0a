"""The paper's own loop as a defence beside the others; it takes one image at a time, so it gets the first ones only."""

import time
from collections.abc import Mapping

from srdscan.lab.defences import Outcome
from srdscan.lab.setting import Looked
from srdscan.policy.episodes import Observer


def papers_loop(sets: Mapping[str, Looked], observer: Observer, count: int, steps: int = 0) -> dict[str, Outcome]:
    """What the victim says after SRD as its authors run it, on the first photographs of each set.

    Args:
        sets: with `triggered`, whose other photographs the DQN learns from.
        count: how many photographs are the first ones.
        steps: that the DQN learns for, 10,000 in the paper; 0 draws the actions uniformly.

    Raises:
        ValueError: no photograph is left to learn from.
    """
    from srdscan.lab.peers import srd_reference  # needs stable-baselines3, of the extra `train`

    judge = srd_reference.Judge(observer.captioner, observer.fidelity)
    model = None
    if steps:
        hit = sets["triggered"]
        others = len(hit.photos.images) - count
        if others < 1:
            raise ValueError(f"paper_images: the loop gets all {count} photographs, and none is left to learn from")

        def subject(number: int) -> srd_reference.Subject:
            return judge.subject(hit.photos.images[count + number], hit.references[count + number])

        model = srd_reference.learn(subject, others, judge, steps)
    outcomes = {}
    for name, looked in sets.items():
        started = time.perf_counter()
        views = srd_reference.clean_all(looked.photos.images[:count], looked.references[:count], model, judge)
        seconds = time.perf_counter() - started + looked.reference_seconds * count / len(looked.references)
        outcomes[name] = Outcome([view.caption for view in views], [True] * count, seconds)
    return outcomes


def name_of(steps: int) -> str:
    """The loop's name in tables."""
    return f"the paper's loop ({steps:,} steps)" if steps else "the paper's loop (uniform draws)"
