"""The page in a browser: findings with their samples, filters, narrow screens, and captions that do nothing."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reports import HOSTILE, report, result

from srdscan.decide.results import Location
from srdscan.findings.finding import Finding
from srdscan.report.evidence import elsewhere, evidence
from srdscan.report.html import FlaggedSample, write_html
from srdscan.report.pictures import thumbnail
from srdscan.report.plots import plots_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PROBE = """<!doctype html><body><iframe id=page src=report.html width=1280 height=900></iframe><pre id=said></pre>
<script>
const frame = document.getElementById("page"), said = {};
frame.onload = async () => {
  const page = frame.contentDocument, visible = () => page.querySelectorAll("#cards > article:not([hidden])").length;
  const pause = () => new Promise(done => setTimeout(done, 60));
  said.overflow = {};
  for (const width of [1280, 640, 390, 320]) {
    frame.width = width; await pause();
    const room = page.documentElement.clientWidth;
    said.overflow[width] = page.documentElement.scrollWidth - room;
    if (said.overflow[width] > 0) said.wide = [...page.querySelectorAll("main *, header *")]
      .filter(item => item.getBoundingClientRect().right > room).map(item => item.tagName + item.className).slice(0, 5);
  }
  const which = page.getElementById("which"), box = page.getElementById("filter");
  const choose = (value, text) => {
    which.value = value; which.dispatchEvent(new Event("change"));
    box.value = text; box.dispatchEvent(new Event("input"));
    return visible();
  };
  said.options = [...which.options].map(option => option.textContent);
  said.shown = {all: choose("", ""), first: choose("0", ""), rule: choose("SRD201", ""), text: choose("", "umbrella"),
                both: choose("0", "umbrella")};
  choose("", "");
  const button = page.querySelector("button[data-show='1']");
  button.click(); await pause();
  said.button = [visible(), which.value, page.getElementById("left").textContent, page.activeElement.id];
  frame.contentWindow.location.hash = "#sample-0"; await pause();
  said.revealed = visible();
  const reachable = [...page.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")];
  said.unreachable = reachable.filter(item => { item.focus(); return page.activeElement !== item; }).length;
  said.unnamed = [...page.querySelectorAll("img:not([alt]), input:not([aria-label]), select:not([aria-label])")].length;
  said.scripts = page.scripts.length;
  said.alerts = frame.contentWindow.hacked === undefined;
  document.getElementById("said").textContent = JSON.stringify(said);
};
</script>"""


def sample(number: int, caption: str, rules: tuple[str, ...] = ("SRD101",)) -> FlaggedSample:
    return FlaggedSample(
        shard="a-000000.tar",
        key=f"{number:04d}",
        image_index=0,
        image=f"{number:04d}.jpg",
        caption_index=0,
        place=f"{number:04d}.txt",
        question="",
        caption=caption,
        output=None,
        reference="a green boat",
        p_value=1e-9,
        q_value=1e-8,
        reasons=(caption[:200],),
        thumbnail=thumbnail(Image.new("RGB", (64, 48), "green")),
        overlay=None,
        rules=rules,
    )


def places(*numbers: int) -> tuple[Location, ...]:
    return tuple(Location("a-000000.tar", f"{number:04d}", f"{number:04d}.txt") for number in numbers)


BANANA = Finding("banana", "caption", 14, 1, 9.4, "in captions of 14 of 256 samples", rule="SRD101")
SPOT = Finding("spot 1", "image", 5, 0, 0.0, "the same piece of picture in 5 images", rule="SRD201")
OTHER = Finding("spot 2", "image", 3, 0, 0.0, "another piece of picture in 3 images", rule="SRD201")
RESULTS = (
    result(rule="SRD201", severity="warning", decides=False, term="", message=SPOT.explanation, samples=2),
    result(samples=14),
    result(rule="SRD201", severity="warning", decides=False, term="", message=OTHER.explanation, samples=1),
)
PLACES = (places(1, 2), places(0, 1, 2, 3), places(3))
MADE = report(
    *(dataclasses.replace(found, locations=where) for found, where in zip(RESULTS, PLACES, strict=True)),
    targets=(BANANA, Finding("lumora", "output", 3, 0, 4.0, "said without cause", rule="SRD107", accuses=False)),
    spots=(SPOT, OTHER),
)
SAMPLES = [
    *(sample(number, f"a banana number {number}") for number in range(5)),
    sample(5, "an umbrella", rules=("SRD301",)),
    *(sample(6 + number, text, rules=("SRD301",)) for number, text in enumerate(HOSTILE)),
    sample(90, "\u202e\u05d0\u05d1 \u0645\u0631\u062d\u0628\u0627 " * 40, rules=("SRD301",)),
    sample(91, "<img src=/stolen onerror='window.parent.hacked=1'><script>window.hacked=1</script>", rules=("SRD301",)),
]

P_VALUES = np.linspace(0, 1, 60)
PLOTS = plots_of(MADE, P_VALUES, P_VALUES < 0.1, {"agreement": -3 * P_VALUES})


def test_what_fails_the_gate_comes_first_and_samples_stand_under_their_findings() -> None:
    cut = thumbnail(Image.new("RGB", (30, 30), "red"))
    found = evidence(MADE, SAMPLES, [[cut], [cut, cut]])
    assert [item.result.rule for item in found] == ["SRD101", "SRD201", "SRD201"]
    assert [item.members for item in found] == [(0, 1, 2, 3, 4), (1, 2), (3,)], "by place, and by rule where cut off"
    assert [len(item.cuts) for item in found] == [0, 1, 2]
    assert found[0].target == BANANA
    assert [target.term for target in elsewhere(MADE, found)[0]] == ["lumora"]
    assert elsewhere(MADE, found)[1] == []


def test_without_results_nothing_is_lost() -> None:
    bare = dataclasses.replace(MADE, results=())
    targets, spots = elsewhere(bare, evidence(bare, SAMPLES, ()))
    assert ([target.term for target in targets], spots) == (["banana", "lumora"], [0, 1])


class Server(ThreadingHTTPServer):
    """Serves a folder, and keeps what it was asked for."""

    def __init__(self, folder: Path) -> None:
        asked: list[str] = []

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                asked.append(self.path)

        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.asked = asked


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    served = Server(tmp_path)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served
    served.shutdown()


def browse(server: Server, profile: Path, name: str, *options: str) -> tuple[str, str]:
    """The document after its scripts ran, and what the console said."""
    command = [str(CHROMIUM), "--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command += ["--no-sandbox"] if os.name != "nt" and os.geteuid() == 0 else []
    command += [
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        "--virtual-time-budget=8000",
        "--dump-dom",
        *options,
    ]
    done = subprocess.run(
        [*command, *options, f"http://127.0.0.1:{server.server_port}/{name}"],
        capture_output=True,
        text=True,
        timeout=120,
        encoding="utf-8",
        errors="replace",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_the_page_works_in_a_browser_and_nothing_of_a_data_set_does(server: Server, tmp_path: Path) -> None:
    cut = thumbnail(Image.new("RGB", (30, 30), "red"))
    write_html(tmp_path / "report.html", MADE, SAMPLES, PLOTS, [[cut], [cut, cut]])
    (tmp_path / "probe.html").write_text(PROBE, encoding="utf-8")
    dumped, console = browse(server, tmp_path / "profile", "probe.html")
    text = re.search(r'<pre id="said">(.*?)</pre>', dumped, re.DOTALL)
    assert text and text[1], console
    said = json.loads(text[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert set(said["overflow"].values()) == {0}, (said["overflow"], said["wide"])
    assert said["options"] == [
        "All findings",
        "SRD101 banana (5)",
        "SRD201 recurring piece of picture (2)",
        "SRD201 recurring piece of picture (1)",
        "SRD201, all 2 findings",
    ]
    assert said["shown"] == {"all": len(SAMPLES), "first": 5, "rule": 3, "text": 1, "both": 0}
    assert said["button"] == [2, "1", f"2 of {len(SAMPLES)}", "which"]
    assert said["revealed"] == len(SAMPLES), "a link to a hidden sample shows it"
    assert (said["unreachable"], said["unnamed"], said["scripts"], said["alerts"]) == (0, 0, 1, True)
    assert [line for line in console.splitlines() if "favicon" not in line] == []
    asked = {path for path in server.asked if "favicon" not in path}
    assert asked == {"/probe.html", "/report.html"}, "no request leaves the page"


def test_printed_pages_have_no_tools_and_dark_ones_their_own_colours(tmp_path: Path) -> None:
    write_html(tmp_path / "report.html", MADE, SAMPLES, PLOTS)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    print_rules = page[page.index("@media print") :]
    assert "nav, .tools, button { display: none; }" in print_rules
    dark = page[page.index("prefers-color-scheme: dark") :].split("}", 1)[0]
    light = page[page.index(":root {") :].split("}", 1)[0]
    names = set(re.findall(r"--[\w-]+(?=:)", light)) - {"--sans", "--mono"}
    assert set(re.findall(r"--[\w-]+(?=:)", dark)) == names
