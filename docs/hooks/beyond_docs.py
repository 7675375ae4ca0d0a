"""What the site has that `docs/` has not: links to the repository's other files, and the pictures among these.

Pages link to files beside `docs/` by relative paths, as GitHub follows them. On the site a picture is copied, and any
other file is linked where the repository is published.
"""

import re
from pathlib import Path
from posixpath import normpath
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((\.\./[^)\s]+)\)")
PICTURES = (".jpg", ".png")


def _target(page: str, link: str) -> str:
    """The file that a page's link leads to, relative to the repository."""
    return normpath(f"docs/{page}/../{link}")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pictures outside `docs/` that pages show."""
    for page in files.documentation_pages():
        for _, _, link in LINK.findall(page.content_string):
            target = _target(page.src_uri, link)
            if not target.startswith("docs/") and target.endswith(PICTURES) and target not in files.src_uris:
                files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turns links that leave `docs/` into links that hold on the site."""

    def turned(match: re.Match[str]) -> str:
        shown, text, link = match.groups()
        path, _, anchor = link.partition("#")
        target = _target(page.file.src_uri, path)
        if target.startswith("docs/"):
            return match.group(0)
        if not (ROOT / target).exists():
            raise PluginError(f"{page.file.src_uri}: {link} leads to no file")
        up = "../" * page.file.src_uri.count("/")
        if target.endswith(PICTURES):
            return f"{shown}[{text}]({up}{target})"
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"[{text}]({config.extra['repository']}/{kind}/main/{target}{'#' + anchor if anchor else ''})"

    return LINK.sub(turned, markdown)
