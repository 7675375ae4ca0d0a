"""RUN/report.html: one self-contained page that says what was found and shows why.

Everything a data set says is hostile here. The template escapes by default; text passes through `visible` on its
way out; the page's own policy lets it load nothing and run only the one script whose hash it names.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup, escape

from srdscan.report.evidence import elsewhere, evidence
from srdscan.report.numbers import p_value
from srdscan.report.pictures import data_uri
from srdscan.report.plots import BASE, LEFT, WIDTH, Plot
from srdscan.report.schema import Report, ShardSummary, plain
from srdscan.report.told import told
from srdscan.text.hidden import hidden_name, is_hidden, shorten, visible
from srdscan.text.plain import words

__all__ = ["FlaggedSample", "write_html"]

MOST_SPOTS: Final = 8
MOST_SHARDS: Final = 200
"""Rows of the shard table; a data set can have tens of thousands."""
MOST_IRREGULAR: Final = 200
"""Rows of the table of irregular samples."""
_HEAD: Final = 320
"""Characters of a caption shown at once."""
_WHOLE: Final = 20_000
"""Characters of a caption shown when it is opened."""
_LONGEST: Final = 600
"""Characters of any other text: a key or a reason can be as hostile as a caption. report.json has the rest."""
FATES: Final = {
    "trimmed": "trimmed: its own caption without the target",
    "repaired": "repaired: the captioner's own honest caption",
    "reference": "the reference caption took its place",
    "dropped": "dropped",
    "quarantined": "held in quarantine for a person to decide",
}
"""What `--sanitize` can do with a flagged sample, in words."""

_TOKEN: Final = re.compile(r"(?P<word>[^\W_]+(?:['’-][^\W_]+)*)|(?P<gap>[\W_]+)")
# Left unmarked although the reference lacks them: they say nothing about what is in the picture.
_QUIET: Final = frozenset(words("a an and are at by for from has in is it its of on or that the this to with"))
_BOXED: Final = Markup('<span class="hidden" title="characters that do not show">{}</span>')


@dataclass(frozen=True)
class FlaggedSample:
    """A flagged pair of image and caption as the report shows it.

    Attributes:
        shard: The shard's file name.
        key: The sample's key.
        image_index: Which of the sample's images.
        image: Its name.
        caption_index: Which of the sample's captions.
        place: Where the caption stands.
        question: What it answers, in a conversation; else empty.
        caption: The data set's caption.
        output: The captioner's caption; None in a pair audit.
        reference: The trusted captioner's caption.
        p_value: Combined p-value, in [0, 1].
        q_value: Smallest false-discovery rate at which the sample is flagged, in [0, 1].
        reasons: What gave it away, strongest first, in plain words.
        thumbnail: JPEG of the image; None if there is no picture to show.
        overlay: JPEG of the image under the attention map; None if there is no map.
        fate: What `--sanitize` did with it, such as "repaired"; None without.
        sanitized: Its new caption; None if it left the data set.
        actions: What was done to the image for that caption, in words.
        perturbed: JPEG of the image after that; None where nothing was done.
        rules: Codes of the rules that accuse it.
    """

    shard: str
    key: str
    image_index: int
    image: str
    caption_index: int
    place: str
    question: str
    caption: str
    output: str | None
    reference: str
    p_value: float
    q_value: float
    reasons: tuple[str, ...]
    thumbnail: bytes | None
    overlay: bytes | None
    fate: str | None = None
    sanitized: str | None = None
    actions: tuple[str, ...] = ()
    perturbed: bytes | None = None
    rules: tuple[str, ...] = ()


def _mark(text: str, known: frozenset[str] | None) -> Markup:
    """Text with hidden characters boxed and runs of words outside `known` (None: no comparison) marked."""
    pieces: list[Markup] = []
    marked = ""  # a run of unknown words, growing
    gap = ""  # what follows it, part of the run only if another unknown word comes next

    def close_run() -> None:
        nonlocal marked, gap
        if marked:
            pieces.append(Markup("<mark>{}</mark>").format(marked))
        pieces.append(escape(gap))
        marked = gap = ""

    for hidden, group in groupby(text, key=is_hidden):
        part = "".join(group)
        if hidden:
            close_run()
            pieces.append(_BOXED.format(" ".join(map(hidden_name, part))))
            continue
        for token in _TOKEN.finditer(part):
            if token["gap"]:
                gap += token["gap"]
                continue
            new = [] if known is None else [word for word in words(token["word"]) if word not in known]
            if new and marked and _QUIET.issuperset(new):
                gap += token["word"]  # "banana on a table" is one find, not two
            elif _QUIET.issuperset(new):
                close_run()
                pieces.append(escape(token["word"]))
            else:
                if not marked:
                    close_run()
                marked, gap = marked + gap + token["word"], ""
    close_run()
    return Markup("").join(pieces)


def _caption(text: str, reference: str | None = None) -> Markup:
    """A caption for the page: cut if long (all of it a click away), words that the reference lacks marked."""
    known = None if reference is None else frozenset(words(reference))
    if len(text) <= _HEAD:
        return _mark(text, known)
    rest = "" if len(text) <= _WHOLE else f", the first {_WHOLE:,} here, all of them in samples.parquet"
    return Markup("{}…<details class=whole><summary>{}</summary><p>{}</p></details>").format(
        _mark(text[:_HEAD], known), f"Read all {len(text):,} characters{rest}", _mark(text[:_WHOLE], known)
    )


def _percent(share: float) -> str:
    value = 100 * share
    return f"{value:.2g} %" if value < 1 else f"{value:.1f}".removesuffix(".0") + " %"


def _policy_hash(source: str) -> str:
    """What a content security policy calls an inline script or style of exactly this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode("ascii")


def _setting(value: object) -> str:
    """A configuration value in one line."""
    document = plain(value, "config")
    return document if isinstance(document, str) else json.dumps(document, sort_keys=True, ensure_ascii=False)


def _safe(value: object) -> object:
    """What every expression of the template passes through: text becomes visible, and not too long; markup stays."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return shorten(visible(value[: _LONGEST + 1]), _LONGEST)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=_safe, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "caption": _caption,
        "count": lambda number: f"{number:,}",
        # base64 holds nothing to escape, and must not be cut
        "data_uri": lambda jpeg: Markup(data_uri(jpeg)),
        "p_value": p_value,
        "percent": _percent,
        "policy_hash": _policy_hash,
        "setting": _setting,
        "told": told,
    }
    source = resources.files("srdscan.report").joinpath("template.html.j2").read_text("utf-8")
    return environment.from_string(source)


def _most_flagged(shards: Sequence[ShardSummary]) -> list[ShardSummary]:
    return sorted(shards, key=lambda shard: (-shard.flagged, shard.name))[:MOST_SHARDS]


def write_html(
    path: Path,
    report: Report,
    samples: Sequence[FlaggedSample],
    plots: Sequence[Plot],
    pieces: Sequence[Sequence[bytes]] = (),
) -> None:
    """Writes the page; the same arguments give the same bytes.

    Args:
        path: The file; replaced as a whole, once the page is complete.
        report: What the audit found.
        samples: Flagged samples to show, most suspicious first; may be fewer than `report.counts.flagged_pairs`.
        plots: what is drawn under the signals.
        pieces: JPEG bytes of what some images share, for the first of `report.spots`.
    """
    found = evidence(report, samples, pieces)
    targets, spots = elsewhere(report, found)
    page = _template().render(
        report=report,
        samples=samples,
        found=found,
        findings_of={number: [item for item in found if number in item.members] for number in range(len(samples))},
        targets=targets,
        spots=[(report.spots[n], pieces[n] if n < len(pieces) else ()) for n in spots[:MOST_SPOTS]],
        most_spots=len(spots),
        fates=FATES,
        plots=plots,
        drawing={"left": LEFT, "right": LEFT + WIDTH, "base": BASE},
        shards=_most_flagged(report.shards),
        damaged=[shard for shard in report.shards if shard.problem is not None],
        irregular_samples=report.irregular_samples[:MOST_IRREGULAR],
    )
    partial = path.with_name(path.name + ".partial")
    partial.write_text(page, encoding="utf-8", newline="\n")
    partial.replace(path)
