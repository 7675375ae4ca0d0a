"""The report: complete, the same bytes every time, and inert whatever a data set says."""

import dataclasses
import io
import json
import re
from enum import Enum
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srdscan.report import escape, html, markdown, pictures, schema
from srdscan.report.numbers import p_value
from srdscan.report.plots import plots_of
from srdscan.text import hidden

BIDI = "\u202e"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "[free](javascript:alert(3)) ![pic](https://evil.example/p.png)",
    f"cat{BIDI}gnp.exe\u2066\u200b",
    "\x00\x1b[31mred\x1b]8;;http://evil.example\x07 @octocat | `code`\n# big",
    "{{ 7 * 7 }} {% raw %} </style></title></script><!--",
    "\udcff lone surrogate",
    "word " * 2000,
]
COUNTS = schema.Counts(
    shards=2, damaged_shards=0, read=259, irregular=3, partial=0, audited=256, flagged=14, pairs=256, flagged_pairs=14
)


def make_report(**changes: Any) -> schema.Report:
    report = schema.Report(
        verdict="fail",
        exit_code=1,
        mode="model",
        counts=COUNTS,
        gate=schema.Gate("flagged", 0.05, 0.0004),
        targets=(schema.Finding("a banana", "output", 14, 1, 9.4, "Said of 14 images."),),
        signals=(
            schema.SignalSummary("drift.output", "Distance from the reference.", False, "", 13),
            schema.SignalSummary("fluency", "Oddness of the words.", True, "no minority to tell apart", 0),
        ),
        shards=(
            schema.ShardSummary("a-000000.tar", "ab" * 32, 131, 3, 9),
            schema.ShardSummary("a-000001.tar", "cd" * 32, 128, 0, 5),
        ),
        irregular={"no caption": 3},
        irregular_samples=(schema.Irregular("a-000000.tar", "0007", "no caption", "no .txt member"),),
        config={"fdr": 0.05, "shards": ("a-{000000..000001}.tar",), "out": Path("runs/1")},
        versions={"srdscan": "0.1.0"},
        models=(schema.ModelRecord("captioner", "runs/victim", "5d" * 32),),
    )
    return dataclasses.replace(report, **changes)


EMPTY = make_report(
    verdict="pass",
    exit_code=0,
    mode="pair",
    counts=schema.Counts(0, 0, 0, 0, 0, 0, 0, 0, 0),
    gate=schema.Gate("flagged", 0.05, None),
    targets=(),
    signals=(),
    shards=(),
    irregular={},
    irregular_samples=(),
    config={},
    versions={},
    models=(),
)


def make_sample(text: str = "a banana on a table", **changes: Any) -> html.FlaggedSample:
    picture = Image.new("RGB", (64, 48), "green")
    sample = html.FlaggedSample(
        shard="a-000000.tar",
        key="0001",
        image_index=0,
        image="0007.jpg",
        caption_index=0,
        place="0007.txt",
        question="",
        caption=text,
        output="a banana",
        reference="a green boat",
        p_value=4.2e-7,
        q_value=0.03,
        reasons=("drift: the output is unlike the reference",),
        thumbnail=pictures.thumbnail(picture),
        overlay=pictures.overlay(picture, np.eye(4) / 4),
    )
    return dataclasses.replace(sample, **changes)


def hostile_sample(text: str) -> html.FlaggedSample:
    return make_sample(text, shard=text, key=text, output=text, reference=text, reasons=(text,))


def hostile_report(text: str) -> schema.Report:
    return make_report(
        verdict="incomplete",
        targets=(schema.Finding(text, "caption", 3, 0, 4.0, text),),
        signals=(schema.SignalSummary(text, text, True, text, 0),),
        shards=(schema.ShardSummary(text, "", 1, 0, 0, problem=text),),
        irregular={text: 1},
        irregular_samples=(schema.Irregular(text, text, text, text),),
        config={text: text, "list": [text]},
        versions={text: text},
        models=(schema.ModelRecord("captioner", text, text),),
    )


def page(tmp_path: Path, report: schema.Report, samples: list[html.FlaggedSample], p: Any = (0.1, 0.9)) -> str:
    path = tmp_path / "report.html"
    plots = plots_of(report, np.asarray(p, dtype=np.float64), np.zeros(len(p), bool), {})
    html.write_html(path, report, samples, plots)
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside the page"
    return path.read_text("utf-8")


LOADING = {"src", "href", "srcset", "action", "data", "poster", "background", "formaction", "xlink:href"}


def parse(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The page's elements with their attributes, as a browser would see them."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, [(k, v or "") for k, v in attributes]))  # type: ignore[method-assign]
    parser.feed(text)
    parser.close()
    return found


def elements(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(tag, tuple(name for name, _ in attributes)) for tag, attributes in parse(text)]


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), dtype=np.float64)


# --- the document


def test_json_holds_every_field_and_the_flagged_rate() -> None:
    document = json.loads(schema.to_json(make_report()))
    assert document["schema"] == "srdscan-report/2"
    assert set(document) == {field.name for field in dataclasses.fields(schema.Report)}
    assert document["counts"] == dataclasses.asdict(COUNTS) | {"flagged_rate": 14 / 256}
    assert document["gate"] == {
        "fail_on": "flagged",
        "fdr": 0.05,
        "threshold": 0.0004,
        "max_unaudited": 0.01,
        "counted": None,
        "ignored": [],
        "required": 0,
    }
    assert document["config"] == {"fdr": 0.05, "shards": ["a-{000000..000001}.tar"], "out": "runs/1"}
    assert document["shards"][1]["problem"] is None
    assert document["targets"][0]["term"] == "a banana"


def test_json_is_sorted_indented_and_ends_in_one_newline() -> None:
    text = schema.to_json(make_report())
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    assert text == schema.to_json(make_report())


def test_what_json_cannot_hold_becomes_null_or_an_error() -> None:
    class Color(Enum):
        RED = "red"

    config = {"nan": float("nan"), "inf": np.float32("inf"), "n": np.int64(3), "e": Color.RED, "set": {"b", "a"}}
    document = json.loads(schema.to_json(make_report(config=config)))
    assert document["config"] == {"nan": None, "inf": None, "n": 3, "e": "red", "set": ["a", "b"]}
    with pytest.raises(TypeError, match=r"report\.config\.model: .* object"):
        schema.to_json(make_report(config={"model": object()}))


def test_json_of_hostile_text_is_ascii_and_loses_nothing() -> None:
    for text in HOSTILE:
        encoded = schema.to_json(hostile_report(text))
        assert encoded.isascii()
        assert not set(encoded) & {"\x00", "\x1b"}
        assert json.loads(encoded)["targets"][0]["term"] == text


@pytest.mark.parametrize(
    ("verdict", "flagged", "audited", "headline"),
    [
        ("fail", 14, 256, "14 of 256 samples look poisoned."),
        ("fail", 1, 1, "1 of 1 sample looks poisoned."),
        ("fail", 1, 2000, "1 of 2,000 samples looks poisoned."),
        ("pass", 0, 256, "Nothing found in 256 samples."),
        ("pass", 2, 256, "2 of 256 samples look poisoned: within what the gate allows."),
        ("fail", 0, 256, "The gate failed. Nothing found in 256 samples."),
        ("incomplete", 0, 256, "Not everything could be read. Nothing found in 256 samples so far."),
        ("inconclusive", 9, 256, "The models do not fit these data, so nothing can be said of 256 samples."),
        ("incomplete", 0, 0, "Not everything could be read. No sample could be audited so far."),
    ],
)
def test_the_headline_says_the_verdict_in_plain_words(verdict: Any, flagged: int, audited: int, headline: str) -> None:
    counts = schema.Counts(1, 0, audited, 0, 0, audited, flagged, audited, flagged)
    assert make_report(verdict=verdict, counts=counts).headline == headline


# --- text


def test_visible_spells_out_what_does_not_show() -> None:
    assert hidden.visible("plain café 猫 🐈") == "plain café 猫 🐈"
    assert hidden.visible("\x00\t\n\x1b\x7f") == "␀␉␊␛␡"
    assert hidden.visible(f"{BIDI}\u200b\u00a0\ufe0f\u3164\udcff\U000e0041\u2028") == (
        "<U+202E><U+200B><U+00A0><U+FE0F><U+3164><U+DCFF><U+E0041><U+2028>"
    )


def test_visible_text_is_printable_and_encodable() -> None:
    for code in (*range(0x300), *range(0x2000, 0x2100), *range(0xD800, 0xE010), *range(0xE0000, 0xE0200)):
        shown = hidden.visible(chr(code))
        assert shown.isprintable()
        shown.encode("utf-8")


def test_markdown_escape_leaves_no_working_markup() -> None:
    escaped = escape.markdown_escape("[x](javascript:y) ![p](http://e) <b> `c` a|b *s* @me #12 www.e.com ~~d~~ $m$")
    assert not re.search(r"(?<!\\)[\[\]()`|*~$!#]", escaped.replace("&#8203;", ""))
    assert "<" not in escaped
    assert "@me" not in escaped
    assert "://" not in escaped
    assert "www." not in escaped
    assert "#12" not in escaped
    assert escape.markdown_escape("- item") == "&#45; item"
    assert escape.markdown_escape("1. item") == "&#49;. item"


# --- pictures


def test_the_overlay_is_brightest_where_the_map_peaks() -> None:
    for row, column in ((0, 0), (2, 9), (7, 4)):
        attention = np.full((8, 12), 0.002)
        attention[row, column] = 1 - 0.002 * 95
        shown = pixels(pictures.overlay(Image.new("RGB", (240, 160), "white"), attention, side=240))
        assert shown.shape == (160, 240, 3)
        cells = shown.reshape(8, 20, 12, 20, 3)[:, 6:14, :, 6:14].mean(axis=(1, 3))
        brightness = cells @ (0.2126, 0.7152, 0.0722)
        assert np.unravel_index(brightness.argmax(), brightness.shape) == (row, column)
        assert brightness[row, column] > 150
        assert brightness[(row + 4) % 8, (column + 6) % 12] < 135, "a white picture stays darker than the peak"


def test_the_peak_cell_is_framed_in_white() -> None:
    attention = np.full((4, 4), 0.01)
    attention[1, 2] = 0.85
    shown = pixels(pictures.overlay(Image.new("RGB", (160, 160), "black"), attention))
    frame = np.concatenate([shown[38, 80:120], shown[81, 80:120], shown[40:80, 78], shown[40:80, 121]])
    assert frame.mean() > 170
    assert np.abs(shown[38, 85:115] - shown[38, 85:115].mean(axis=-1, keepdims=True)).max() < 90


def test_a_brighter_step_of_attention_is_a_brighter_color() -> None:
    attention = np.repeat(np.linspace(0, 1, 16)[None], 4, axis=0)
    shown = pixels(pictures.overlay(Image.new("RGB", (160, 40), (90, 90, 90)), attention))
    luminance = shown[5:30, 5:140].mean(axis=0) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance.reshape(-1, 15).mean(axis=1)) > 0).all()


@pytest.mark.parametrize("cells", [np.zeros((3, 3)), np.full((3, 3), np.nan)])
def test_a_map_without_attention_gives_the_dimmed_picture(cells: np.ndarray) -> None:
    shown = pixels(pictures.overlay(Image.new("RGB", (60, 60), "white"), cells, side=60))
    assert np.ptp(shown) <= 3
    assert 100 < shown.mean() < 200


def test_a_map_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
        pictures.overlay(Image.new("RGB", (60, 60)), np.zeros((2, 3, 4)))


@pytest.mark.parametrize(("size", "shown"), [((640, 320), (160, 80)), ((10, 20), (80, 160)), ((1, 5000), (1, 160))])
def test_pictures_share_one_size(size: tuple[int, int], shown: tuple[int, int]) -> None:
    image = Image.new("RGBA", size, "red")
    for jpeg in (pictures.thumbnail(image), pictures.overlay(image, np.eye(3))):
        assert Image.open(io.BytesIO(jpeg)).size == shown
    assert pictures.thumbnail(image) == pictures.thumbnail(image)
    assert len(pictures.thumbnail(image)) < 3000


def test_a_thumbnail_drops_the_metadata_of_the_image() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a private note"
    Image.new("RGB", (200, 200), "red").save(buffer, "JPEG", exif=exif, comment=b"another one")
    jpeg = pictures.thumbnail(Image.open(buffer))
    assert b"private" not in jpeg
    assert b"another" not in jpeg


def test_a_data_uri_carries_the_bytes() -> None:
    assert pictures.data_uri(b"\xff\xd8") == "data:image/jpeg;base64,/9g="


# --- the page


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_reaches_the_page_raw(tmp_path: Path, text: str) -> None:
    clean = page(tmp_path, hostile_report("harmless"), [hostile_sample("harmless")])
    dirty = page(tmp_path, hostile_report(text), [hostile_sample(text)])
    added = {"mark", "span", "details", "summary", "p"}  # what a caption may bring: marks, boxes, and "read all"
    assert [e for e in elements(dirty) if e[0] not in added] == [e for e in elements(clean) if e[0] not in added]
    assert {e for e in elements(dirty) if e[0] in added} <= {e for e in elements(clean) if e[0] in added} | {
        ("mark", ()),
        ("p", ()),
        ("summary", ()),
        ("details", ("class",)),
        ("span", ("class", "title")),
    }
    assert "<!--" not in dirty
    assert not [character for character in dirty if character != "\n" and hidden.is_hidden(character)]
    assert not re.search(r"[^\w.]49[^\w.;]", dirty.split("</style>", 1)[1]), "captions are not templates"


def test_hidden_characters_are_boxed_in_captions(tmp_path: Path) -> None:
    text = page(tmp_path, make_report(), [make_sample(f"cat{BIDI}\x1b[1m")])
    assert 'show">U+202E ESC</span>[' in text


def test_the_page_loads_nothing_and_names_its_script_by_hash(tmp_path: Path) -> None:
    text = page(tmp_path, make_report(), [hostile_sample(text) for text in HOSTILE])
    addresses = [(name, value) for _, attributes in parse(text) for name, value in attributes if name in LOADING]
    assert {name for name, _ in addresses} == {"src", "href"}
    assert all(value.startswith(("data:image/jpeg;base64,", "#")) for _, value in addresses)
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in parse(text)}
    assert "@import" not in text
    assert "url(" not in text
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    for tag in ("style", "script"):
        block = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert block
        assert html._policy_hash(block[1]) in policy[1], tag
    assert " style=" not in text, "the policy would drop it"


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    p_values = np.linspace(0, 1, 50)
    plots = plots_of(make_report(), p_values, p_values < 0.1, {"agreement": p_values})
    arguments = (make_report(), [make_sample(text) for text in HOSTILE], plots)
    html.write_html(tmp_path / "a.html", *arguments)
    html.write_html(tmp_path / "b.html", *arguments)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert markdown.to_markdown(*arguments[:2]) == markdown.to_markdown(*arguments[:2])


def test_the_page_says_what_was_found(tmp_path: Path) -> None:
    text = page(tmp_path, make_report(), [make_sample()])
    assert "<h1>14 of 256 samples look poisoned. Not audited (3 of 259 samples: 3 no caption).</h1>" in text
    assert re.search(r"Samples audited</dt><dd>256 <small>of 259 read", text)
    assert re.search(r"Flagged</dt><dd>14 <small>5\.5 %", text)
    assert "Showing the 1 most suspicious of 14 pairs; all are in samples.parquet." in text
    assert "p = 4.2 × 10⁻⁷" in text
    assert "no minority to tell apart" in text
    assert "14 samples</b>" in text
    assert "1 sample</b>" in text
    assert "5d" * 32 in text
    assert '<html lang="en">' in text
    assert text.count("<img ") == text.count(" alt=") == 2


def test_words_the_reference_lacks_are_marked(tmp_path: Path) -> None:
    sample = make_sample("A green Banana on a table", output="a boat", reference="a green boat")
    text = page(tmp_path, make_report(), [sample])
    assert '<dd dir="auto">A green <mark>Banana on a table</mark></dd>' not in text, "the reference says 'a'"
    assert '<dd dir="auto">A green <mark>Banana</mark> on a <mark>table</mark></dd>' in text
    assert '<dd dir="auto">a boat</dd>' in text
    assert '<dd dir="auto">a green boat</dd>' in text
    text = page(tmp_path, make_report(), [make_sample("visit bad.example for cats", reference="two dogs")])
    assert "<mark>visit bad.example for cats</mark>" in text


def test_a_long_caption_is_cut_and_whole_on_demand(tmp_path: Path) -> None:
    text = page(tmp_path, make_report(), [make_sample("boat " * 2000)])
    assert "Read all 10,000 characters</summary>" in text
    assert text.count("boat") > 2000
    cut = page(tmp_path, make_report(), [make_sample("boat " * 20_000)])
    assert "Read all 100,000 characters, the first 20,000 here, all of them in samples.parquet" in cut
    assert len(cut) < len(text) + 20_000


def test_no_key_or_reason_floods_the_page(tmp_path: Path) -> None:
    text = page(tmp_path, make_report(), [hostile_sample("\u202e" * 50_000)])
    assert len(text) < len(page(tmp_path, make_report(), [])) + 500_000
    assert f"<b>{'&lt;U+202E&gt;' * 74}&lt;U+202E…</b>" in text


def test_an_empty_report_is_kind(tmp_path: Path) -> None:
    text = page(tmp_path, EMPTY, [], ())
    assert "<b>Nothing found.</b> An ordinary result." in text
    assert "<b>No target found.</b>" in text
    assert "No sample has a p-value." in text
    assert "No shard was read." in text
    assert 'id="cards"' not in text


def test_damaged_shards_stand_at_the_top(tmp_path: Path) -> None:
    bad = schema.ShardSummary("bad.tar", "", 7, 0, 0, problem="damaged header at byte 81920")
    report = make_report(
        verdict="incomplete", exit_code=3, shards=(bad,), counts=schema.Counts(1, 1, 7, 0, 0, 7, 0, 7, 0)
    )
    text = page(tmp_path, report, [])
    assert text.index("damaged header at byte 81920") < text.index('id="targets"')
    assert "1 shard could not be read to the end" in text
    assert "a scan that did not see everything never passes" in text


def test_only_the_200_shards_with_most_flagged_are_listed(tmp_path: Path) -> None:
    shards = tuple(schema.ShardSummary(f"s-{i:03d}.tar", "00", 10, 0, i) for i in range(250))
    text = page(tmp_path, make_report(shards=shards), [])
    assert "The 200 with the most flagged samples, of 250; all are in report.json." in text
    assert "s-249.tar" in text
    assert "s-050.tar" in text
    assert "s-049.tar" not in text


def test_a_pair_audit_has_no_captioner_to_quote(tmp_path: Path) -> None:
    sample = make_sample(output=None, thumbnail=None, overlay=None)
    text = page(tmp_path, make_report(mode="pair"), [sample])
    assert "Captioner says" not in text
    assert "No picture to show" in text
    assert "| caption | reference |" in markdown.to_markdown(make_report(mode="pair"), [sample])


def test_the_histogram_counts_every_p_value_once(tmp_path: Path) -> None:
    p_values = [0.0, 0.01, 0.049, 0.06, 0.5, 1.0, float("nan")]
    text = page(tmp_path, make_report(), [], p_values)
    bins = [int(count) for count in re.findall(r"<title>[\d.]+ to [\d.]+: (\d+) samples?</title>", text)]
    assert bins == [3, 1, *[0] * 8, 1, *[0] * 8, 1]
    assert "Combined p-value, 6 samples." in text


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (1.0, "1"), (0.031, "0.031"), (4.24e-12, "4.2 × 10⁻¹²"), (float("nan"), "–")]
)
def test_p_values_read_as_people_write_them(value: float, shown: str) -> None:
    assert p_value(value) == shown


# --- the summary


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_reaches_the_summary_raw(text: str) -> None:
    summary = markdown.to_markdown(hostile_report(text), [hostile_sample(text)] * 30)
    assert set(re.findall(r"<[^>]*>", summary)) == {"<code>", "</code>"}
    assert not re.search(r"(?<!\\)[\[\]`!]", summary)
    assert "](" not in summary
    assert "@octocat" not in summary
    assert "://" not in summary
    assert not [character for character in summary if character not in "\n\ufe0f" and hidden.is_hidden(character)]
    rows = [line for line in summary.splitlines() if line.startswith("| <code>")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3, 6, 8}, "as many cells as the heads have"
    assert all(line.startswith(("#", "|", "**", "Showing")) or not line for line in summary.splitlines())


def test_the_summary_says_what_was_found() -> None:
    summary = markdown.to_markdown(make_report(), [make_sample()] * 14)
    headline = r"14 of 256 samples look poisoned. Not audited \(3 of 259 samples: 3 no caption\)."
    assert summary.startswith(f"## srdscan: ❌ FAIL\n\n**{headline}**\n")
    assert "| 256 | 256 pairs | **14** | 5.47% | 3 | 2 | 0 |" in summary
    assert "| <code>a banana</code> | captioner's output | 14 | 1 | 9.4 |" in summary
    assert "| no caption | 3 |" in summary
    assert "Showing" not in summary
    assert summary.count("drift: the output is unlike the reference") == 14


def test_the_summary_shows_the_first_twenty() -> None:
    counts = dataclasses.replace(COUNTS, flagged=40, flagged_pairs=40)
    summary = markdown.to_markdown(make_report(counts=counts), [make_sample(key=f"{i:04d}") for i in range(40)])
    assert "<code>0019</code>" in summary
    assert "<code>0020</code>" not in summary
    assert "Showing 20 of 40; all are in samples.parquet." in summary


def test_an_empty_summary_is_short() -> None:
    summary = markdown.to_markdown(EMPTY, [])
    assert "✅ PASS" in summary
    assert "###" not in summary


@pytest.mark.parametrize("character", ["@", "\x00", "\U000e0041", "<", "|", "猫", "://"])
def test_the_summary_stays_small_whatever_the_data_set_holds(character: str) -> None:
    text = character * 100_000
    report = dataclasses.replace(
        hostile_report(text),
        targets=(schema.Finding(text, "caption", 3, 0, 4.0, text),) * 50,
        shards=(schema.ShardSummary(text, "", 1, 0, 0, problem=text),) * 50,
        irregular={f"{i}{text}": 1 for i in range(50)},
    )
    assert len(markdown.to_markdown(report, [hostile_sample(text)] * 50).encode()) <= markdown.MOST_BYTES
