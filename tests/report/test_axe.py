"""axe-core over the page, where a browser and AXE_CORE, the path of axe.min.js, are there: `npm pack axe-core`."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from test_page import CHROMIUM, MADE, PLOTS, SAMPLES, Server, browse, server  # noqa: F401

from srdscan.report.html import write_html

AXE = os.environ.get("AXE_CORE", "")
PROBE = """<!doctype html><title>axe</title><iframe id=page src=bare.html width=WIDTH height=900></iframe>
<pre id=said></pre><script>
const frame = document.getElementById("page");
frame.onload = async () => {
  const found = await frame.contentWindow.axe.run(frame.contentDocument);
  document.getElementById("said").textContent = JSON.stringify({
    passes: found.passes.length,
    violations: found.violations.map(one => [one.id, one.impact, one.nodes[0].html.slice(0, 200)]),
  });
};
</script>"""


@pytest.mark.skipif(CHROMIUM is None or not AXE, reason="no chromium on PATH, or no AXE_CORE")
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("options", [(), ("--blink-settings=preferredColorScheme=0", "--force-dark-mode")])
def test_axe_finds_no_fault(width: int, options: tuple[str, ...], server: Server, tmp_path: Path) -> None:  # noqa: F811
    write_html(tmp_path / "report.html", MADE, SAMPLES, PLOTS)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    bare, count = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert count == 1, "its policy would not let axe in"
    shutil.copy(AXE, tmp_path / "axe.js")
    (tmp_path / "bare.html").write_text(bare.replace("</body>", "<script src=axe.js></script></body>"), "utf-8")
    (tmp_path / "probe.html").write_text(PROBE.replace("WIDTH", str(width)), "utf-8")
    dumped, console = browse(server, tmp_path / "profile", "probe.html", *options)
    text = re.search(r'<pre id="said">(.*?)</pre>', dumped, re.DOTALL)
    assert text and text[1], console
    said = json.loads(html.unescape(text[1]))
    assert said["passes"] > 40 and said["violations"] == []
