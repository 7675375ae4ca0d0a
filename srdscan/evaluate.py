"""How well an audit found poison that is known: for teams that test their own gate."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Evaluation:
    """Flagged against planted.

    Attributes:
        samples: audited samples.
        poisoned: of those, how many are poisoned by the truth file.
        flagged: of those, how many the audit flagged.
        true_positives, false_positives, false_negatives, true_negatives: the confusion matrix.
        missing: poisoned samples of the truth file that the audit did not score (irregular, damaged, beyond --limit);
            they count as missed in recall.
        precision: share of the flagged that are poisoned; None if nothing is flagged.
        recall: share of the poisoned that are flagged; None if nothing is poisoned.
        f1: harmonic mean of both; None if either is.
        false_positive_rate: share of the clean that are flagged; None if nothing is clean.
        auroc: area under the ROC curve of the p-values; None without both classes.
        pr_auc: average precision of the p-values; None without both classes.
    """

    samples: int
    poisoned: int
    flagged: int
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    missing: int
    precision: float | None
    recall: float | None
    f1: float | None
    false_positive_rate: float | None
    auroc: float | None
    pr_auc: float | None

    def to_json(self) -> str:
        """All fields as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def rows(self) -> list[tuple[str, str]]:
        """(name, value) for a table."""
        return [(name.replace("_", " "), _shown(value)) for name, value in asdict(self).items()]


def _shown(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def evaluate(run: Path, truth: Path) -> Evaluation:
    """Compares RUN/samples.parquet with a truth file; a sample is flagged when one of its pairs is.

    Raises:
        ValueError: either cannot be read, or they are of different data sets.
    """
    table_path = run / "samples.parquet"
    if not table_path.is_file():
        raise ValueError(f"{run}: no samples.parquet there; pass the --out folder of `srdscan audit`")
    try:
        document = json.loads(truth.read_text(encoding="utf-8"))
        planted = {(str(item["shard"]), str(item["key"])) for item in document["poisoned"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{truth}: not a truth file: {error}. It must hold {{"poisoned": [{{"shard": .., "key": ..}}, ..]}}'
        ) from error
    try:
        table = pq.read_table(table_path, columns=["shard", "key", "flagged", "p_value"])
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{table_path}: not the table of an audit: {error}") from error
    rows = zip(table["shard"].to_pylist(), table["key"].to_pylist(), strict=True)
    place: dict[tuple[str, str], int] = {}
    sample_of = np.array([place.setdefault(name, len(place)) for name in rows], dtype=np.int64)
    shards = {shard for shard, _ in place}
    if planted and place and not shards & {shard for shard, _ in planted}:
        raise ValueError(f"{truth}: names none of the shards that {run} audited ({', '.join(sorted(shards)[:3])}, ...)")
    flagged, p_values = np.zeros(len(place), dtype=bool), np.ones(len(place))
    np.logical_or.at(flagged, sample_of, table["flagged"].to_numpy())
    np.minimum.at(p_values, sample_of, table["p_value"].to_numpy())
    poisoned = np.array([name in planted for name in place], dtype=bool)
    return compare(flagged, p_values, poisoned, len(planted - place.keys()))


def compare(
    flagged: npt.NDArray[np.bool_], p_values: npt.NDArray[np.float64], poisoned: npt.NDArray[np.bool_], missing: int = 0
) -> Evaluation:
    """The figures from (N,) flags, p-values and truth."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    flagged = flagged.astype(bool)
    hits = int((flagged & poisoned).sum())
    false_alarms = int((flagged & ~poisoned).sum())
    missed = int((~flagged & poisoned).sum()) + missing
    rest = int((~flagged & ~poisoned).sum())
    precision = hits / (hits + false_alarms) if hits + false_alarms else None
    recall = hits / (hits + missed) if hits + missed else None
    f1 = 2 * hits / (2 * hits + false_alarms + missed) if precision is not None and recall is not None else None
    both = bool(poisoned.any() and not poisoned.all())
    # The order of p-values is what counts; logarithms keep tiny ones apart.
    suspicion = -np.log(np.maximum(p_values, 1e-300))
    return Evaluation(
        samples=len(flagged),
        poisoned=int(poisoned.sum()),
        flagged=int(flagged.sum()),
        true_positives=hits,
        false_positives=false_alarms,
        false_negatives=missed,
        true_negatives=rest,
        missing=missing,
        precision=precision,
        recall=recall,
        f1=f1,
        false_positive_rate=false_alarms / (false_alarms + rest) if false_alarms + rest else None,
        auroc=float(roc_auc_score(poisoned, suspicion)) if both else None,
        pr_auc=float(average_precision_score(poisoned, suspicion)) if both else None,
    )
