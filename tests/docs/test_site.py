"""The site: built without a warning, with every page, and at work from a disk without a network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def nav_pages(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in nav_pages(part)]


def test_every_page_is_in_the_navigation() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    listed = nav_pages(config["nav"])
    assert sorted(listed) == sorted(pages)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not re.search("WARNING|ERROR", done.stderr), done.stderr
    return out


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere_and_pictures_are_there(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= 36
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]* src="([^"]+)"', text)
        loaded += re.findall(r'<link[^>]* rel="(?:stylesheet|preconnect|icon)"[^>]* href="([^"]+)"', text)
        loaded += re.findall(r'<link[^>]* href="([^"]+)"[^>]* rel="(?:stylesheet|preconnect|icon)"', text)
        base = site if page.name == "404.html" else page.parent
        for link in loaded:
            assert "//" not in link, f"{page.name}: {link}"
            assert (base / link.lstrip("/")).is_file(), f"{page.name}: {link}"
    assert (site / "examples/report.jpg").read_bytes() == (ROOT / "examples/report.jpg").read_bytes()
    assert not list(site.rglob("hooks"))


@pytest.mark.slow
def test_the_reference_has_the_contracts_with_their_documentation(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "reference.html").read_text(encoding="utf-8"))
    for name in ("Captioner", "Signal", "Source", "OpenUnit", "Trigger", "Matcher", "AuditConfig", "check_captioner"):
        assert re.search(rf"\b{name}\b", text), name
    assert "An image's caption does not depend on the rest of its batch" in re.sub(r"\s+", " ", text)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_the_search_works_from_a_disk(site: Path, tmp_path: Path) -> None:
    command = [str(CHROMIUM), "--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command += ["--no-sandbox"] if os.name != "nt" and os.geteuid() == 0 else []
    command += [f"--user-data-dir={tmp_path}", "--enable-logging=stderr", "--virtual-time-budget=8000", "--dump-dom"]
    done = subprocess.run(
        [*command, f"{(site / 'index.html').as_uri()}?q=attestation"],
        capture_output=True,
        text=True,
        timeout=120,
        encoding="utf-8",
        errors="replace",
    )
    assert re.search(r"\d+ matching documents", done.stdout), done.stderr[-2000:]
    assert "gate.html" in done.stdout.partition("matching documents")[2]
    assert "CONSOLE" not in done.stderr, done.stderr[-2000:]
