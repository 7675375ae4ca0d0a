"""The decision over score files of any number of pairs: seconds, memory, and whether the poison in them is found.

    python benchmarks/decision.py --samples 2300000 --json [--data FOLDER]

Score files are drawn, as pass 1 writes them for a pair audit: captions from a grammar with 100,000 words, each used as
often as its rank says (Zipf); their vectors are what the sentence encoder would say, by a linear model of it that is
fitted on captions of the same grammar; image vectors are drawn around what the embedded prior expects of the caption.
125 captions hold a word that no other does, at a random place; 125 are one sentence on images of others. Their vectors
are the encoder's own.

The decision then runs in a process of its own: what `srdscan audit` does between the last score file and the report,
but for the pictures. `found` counts the poisoned among the flagged pairs, `seconds` is wall time, `cpu_seconds` that of
the processor, `peak_rss_mb` the largest resident memory, all with Python and its libraries; each stage has its own.
"""

import argparse
import functools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
from wordfreq import top_n_list

from srdscan import audit
from srdscan.config import AuditConfig
from srdscan.decide.accusations import Elsewhere
from srdscan.decide.fit import measure_fit
from srdscan.decide.results import find_results
from srdscan.findings import foreign
from srdscan.findings.hidden import find_hidden, hidden_findings
from srdscan.measure.scores import Scores, join_columns, write_table
from srdscan.measure.state import UnitRecord
from srdscan.models.matchers.embedded import load_prior
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.progress import Quiet
from srdscan.report.table import write_samples
from srdscan.signals import SIGNALS
from srdscan.signals.agreement import CAPTION, IMAGE, agreement_of
from srdscan.text.plain import words

ROWS = 10_000
POISONED = 250
TAUGHT_BY = 6000
WORD, SENTENCE = "zephyrine", "a man is sitting on a bench in the park"
PATTERN = ("a", "ADJ", "NOUN", "VERB", "PLACE", "the", "NOUN", "with", "a", "ADJ", "NOUN")
PLACES = ("on", "in", "near", "under", "beside", "behind")


class Grammar:
    """Captions of one pattern, whose words are used as often as their ranks say."""

    def __init__(self) -> None:
        found = [
            word for word in top_n_list("en", 160_000) if word.isascii() and words(word) == [word] and len(word) > 2
        ]
        found = [found[place] for place in np.sort(np.random.default_rng(1).permutation(len(found))[:100_000])]
        self.words = np.array([*PLACES, "a", "the", "with", *found], dtype=object)
        first = len(PLACES) + 3
        kinds = np.random.default_rng(2).choice(3, size=len(found), p=[0.6, 0.2, 0.2])
        self.kinds = {name: first + np.flatnonzero(kinds == kind) for kind, name in enumerate(("NOUN", "ADJ", "VERB"))}
        self.kinds["PLACE"] = np.arange(len(PLACES))

    def draw(self, count: int, random: np.random.Generator) -> np.ndarray:
        """(count, 11) numbers of words."""
        columns = []
        for part in PATTERN:
            if part in self.kinds:
                here = self.kinds[part]
                weight = np.cumsum(1.0 / (np.arange(len(here)) + 10.0))
                columns.append(here[np.searchsorted(weight, random.random(count) * weight[-1])])
            else:
                columns.append(np.full(count, int(np.flatnonzero(self.words == part)[0])))
        return np.stack(columns, axis=1)

    def texts(self, drawn: np.ndarray) -> list[str]:
        return [" ".join(row) for row in self.words[drawn].tolist()]


class Vectors:
    """What the sentence encoder says of captions of the grammar, nearly: linear in the words' pieces."""

    def __init__(self, grammar: Grammar, encoder: SentenceEncoder) -> None:
        tokens = encoder.model.tokenizer(grammar.words.tolist(), add_special_tokens=False).input_ids
        table = encoder.model[0].auto_model.embeddings.word_embeddings.weight.detach().numpy()
        self.pieces = np.stack([table[ids].sum(axis=0) for ids in tokens]).astype(np.float32)
        drawn = grammar.draw(TAUGHT_BY, np.random.default_rng(3))
        said = encoder.embed(grammar.texts(drawn))
        given = self._given(drawn)
        ridge = 0.1 * np.eye(given.shape[1])
        self.weights = np.linalg.solve(given.T @ given + ridge, given.T @ said).astype(np.float32)
        rest = said - given @ self.weights
        self.noise = np.linalg.cholesky(np.cov(rest.T) + 1e-6 * np.eye(rest.shape[1])).T.astype(np.float32)

    def _given(self, drawn: np.ndarray) -> np.ndarray:
        means = sum(self.pieces[words] for words in drawn.T) / np.float32(drawn.shape[1])
        return np.concatenate([means, np.ones((len(drawn), 1), np.float32)], axis=1)

    def of(self, drawn: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """(N, 384) unit vectors."""
        vectors = self._given(drawn) @ self.weights
        vectors = vectors + random.standard_normal(vectors.shape, np.float32) @ self.noise
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Images:
    """Image vectors around what the embedded prior expects of a caption."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        prior = load_prior(encoder.fingerprint)
        assert prior is not None
        mean, covariance = prior.distribution.mean, prior.distribution.covariance
        side = len(mean) - 384
        across, texts = covariance[:side, side:], covariance[side:, side:]
        slope = np.linalg.solve(texts + 1e-6 * np.eye(384), across.T)
        left = covariance[:side, :side] - across @ slope
        self.noise = np.linalg.cholesky(left + 1e-6 * np.trace(left) / side * np.eye(side)).T.astype(np.float32)
        self.slope, self.mean = slope.astype(np.float32), mean[:side].astype(np.float32)

    def of(self, captions: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """(N, 256); captions of a grammar are less varied than people's, and tell more apart."""
        expected = (captions - captions.mean(axis=0)) @ (np.float32(1.5) * self.slope) + self.mean
        return expected + random.standard_normal(expected.shape, np.float32) @ self.noise


def generate(folder: Path, samples: int, seed: int = 0) -> None:
    """Writes score files of so many pairs, and which of them are poisoned."""
    encoder, grammar = SentenceEncoder(), Grammar()
    vectors, images = Vectors(grammar, encoder), Images(encoder)
    poisoned = np.sort(np.random.default_rng(seed).permutation(samples)[:POISONED])
    kinds = np.random.default_rng([seed, 1]).permutation(POISONED) % 2
    for number, start in enumerate(range(0, samples, ROWS)):
        random = np.random.default_rng([seed, 2, number])
        count = min(ROWS, samples - start)
        drawn = grammar.draw(count, random)
        texts, captions = grammar.texts(drawn), vectors.of(drawn, random)
        seen = images.of(captions, random)
        said = drawn[:, [0, 2, 3, 4, 5, 6]]  # a captioner says less
        references, reference_vectors = grammar.texts(said), vectors.of(drawn, random)
        grounding = random.normal(-1, 0.5, count)
        inside = np.flatnonzero((poisoned >= start) & (poisoned < start + count))
        for row, kind in zip(poisoned[inside] - start, kinds[inside], strict=True):
            parts = texts[row].split()
            parts.insert(int(random.integers(len(parts) + 1)), WORD)
            texts[row] = SENTENCE if kind else " ".join(parts)
            grounding[row] += 1.5 * kind
        rows = poisoned[inside] - start
        if len(rows):
            captions[rows] = encoder.embed([texts[row] for row in rows])
        ends = np.cumsum([text.count(" ") + 1 for text in texts])
        gains = np.split(random.normal(-0.3, 0.3, ends[-1]).astype(np.float32), ends[:-1])
        for row in rows:
            if WORD in texts[row]:
                gains[row][texts[row].split().index(WORD)] = random.normal(1.5, 0.3)
        table = join_columns(
            [
                {
                    "index": np.arange(count),
                    "key": [f"{start + row:09d}" for row in range(count)],
                    "image_index": np.zeros(count, np.int32),
                    "image": ["jpg"] * count,
                    "image_sha256": [random.bytes(32).hex() for _ in range(count)],
                    "caption_index": np.zeros(count, np.int32),
                    "place": ["txt"] * count,
                    "question": [""] * count,
                    "caption": texts,
                    "reference": references,
                    "reference_embedding": reference_vectors.astype(np.float16),
                    IMAGE: seen.astype(np.float16),
                    CAPTION: captions.astype(np.float16),
                    "signal.drift.caption": 1 - (captions * reference_vectors).sum(axis=1).astype(np.float32),
                    "signal.fluency.caption": random.normal(0.5, 0.4, count).astype(np.float32),
                    "signal.grounding.caption": grounding.astype(np.float32),
                    "signal.onion.caption": np.array([values.max() for values in gains], np.float32),
                    "gains.caption": gains,
                }
            ]
        )
        write_table(table, folder / f"{number:06d}.parquet")
    meta = {"poisoned": poisoned.tolist(), "sentence-encoder": encoder.fingerprint, "samples": samples}
    (folder / "facts.json").write_text(json.dumps(meta))


STAGES: dict[str, dict[str, float]] = {}


def _status(field: str) -> float:
    """A figure of this process in MB, as Linux tells it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Takes the time and the peak of memory of a part."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is held now
    wall, processor = time.perf_counter(), time.process_time()
    yield
    figures = STAGES.setdefault(name, {"seconds": 0.0, "cpu_seconds": 0.0, "peak_mb": 0.0})
    figures["seconds"] = round(figures["seconds"] + time.perf_counter() - wall, 1)
    figures["cpu_seconds"] = round(figures["cpu_seconds"] + time.process_time() - processor, 1)
    figures["peak_mb"] = round(max(figures["peak_mb"], _status("VmHWM")))


def _timed(function, name: str):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        with stage(name):
            return function(*args, **kwargs)

    return inner


def decide(folder: Path) -> dict[str, object]:
    """The whole decision over score files, with the figures of each stage."""
    facts = json.loads((folder / "facts.json").read_text())
    files = tuple(sorted(folder.glob("*.parquet")))
    scores = Scores(files, {"sentence-encoder": facts["sentence-encoder"]})
    encoder = SentenceEncoder()
    for signal in SIGNALS.values():
        signal.judge = _timed(signal.judge, signal.name)
    foreign.find_out = _timed(foreign.find_out, foreign.NAME)
    config = AuditConfig(shards=("drawn",))
    models = SimpleNamespace(captioner=None, sentence_encoder=encoder, quick=False)
    held = _status("VmRSS")
    wall, processor = time.perf_counter(), time.process_time()
    with stage("agreement, fitted"):
        agreement_of(scores)
    with stage("fit"):
        fit = measure_fit(scores, ("caption",))
    verdicts = audit.judge(config, None, (), scores, models, None, fit, Quiet(), encoder.embed)
    rows = [end - start for start, end in zip(scores.starts, scores.starts[1:], strict=False)]
    records = [UnitRecord(f"{n:06d}.tar", "", "", int(c), int(c), (), None, {}) for n, c in enumerate(rows)]
    with stage("hidden characters"):
        hidden = tuple(hidden_findings(find_hidden(scores.strings("caption"))))
    with stage("results"):
        found = find_results(verdicts, scores, [record.name for record in records], config.fdr, Elsewhere((), hidden))
    with stage("samples.parquet"), TemporaryDirectory() as out:
        write_samples(Path(out) / "samples.parquet", scores, records, verdicts, None, found.rules)
    truth = np.zeros(len(scores), dtype=bool)
    truth[facts["poisoned"]] = True
    return {
        "samples": len(scores),
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - processor, 1),
        "peak_rss_mb": round(max(part["peak_mb"] for part in STAGES.values())),
        "before_rss_mb": round(held),
        "found": int((verdicts.flagged & truth).sum()),
        "poisoned": int(truth.sum()),
        "false_alarms": int((verdicts.flagged & ~truth).sum()),
        "findings": [finding.term for finding in verdicts.findings],
        "competence": round(agreement_of(scores).competence, 4),
        "stages": STAGES,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--data", type=Path, help="where score files are kept; drawn again if it is empty")
    parser.add_argument("--decide", type=Path, help="the decision alone, over this folder, in this process")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.decide is not None:
        print(json.dumps(decide(args.decide)))
        return
    with TemporaryDirectory() as drawn:
        folder = args.data or Path(drawn)
        if not (folder / "facts.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            generate(folder, args.samples)
            print(f"drawn with {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB", file=sys.stderr)
        command = [sys.executable, __file__, "--decide", folder]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(run.stdout.splitlines()[-1])
    if args.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name}: {value}" if name != "stages" else "stages (seconds, of the processor, MB):")
    for name, part in figures["stages"].items():
        print(f"  {name:24} {part['seconds']:8} {part['cpu_seconds']:8} {part['peak_mb']:8}")


if __name__ == "__main__":
    main()
