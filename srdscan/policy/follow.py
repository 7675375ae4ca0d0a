"""Following a policy: every lane's best action, step by step, until all are done."""

from collections.abc import Callable, Sequence

from srdscan.policy.episodes import Lane, Observer, View, step
from srdscan.policy.store import Policy


def roll_out(
    lanes: Sequence[Lane], policy: Policy, observer: Observer, content: Callable[[View], bool] = lambda view: True
) -> None:
    """Follows the policy greedily in every lane until all are done; one batched call of each model a step.

    Args:
        content: whether a view is good enough to stop at. A policy that learned on one patch stops when covering that
            one did not help; where there are two, the next best action is needed.
    """
    while active := [lane for lane in lanes if not lane.done]:
        may_stop = [content(lane.view) for lane in active]
        step(active, policy.act(active, may_stop), observer, policy.space)
