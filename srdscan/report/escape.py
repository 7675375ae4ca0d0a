"""Hostile text made safe to read: nothing invisible, nothing that a page or a Markdown renderer would act on."""

from __future__ import annotations

import re
from typing import Final

from srdscan.text.hidden import visible

__all__ = ["markdown_escape"]

# fmt: on
_MARKDOWN: Final = re.compile(r"[\\`*_{}\[\]()#~|!$^]")
_LINE_START: Final = re.compile(r"^(?:[-+=:]|\d+(?=[.)]))")
_BREAK: Final = "&#8203;"
"""A zero-width space: GitHub links @names and addresses after it has decoded entities, so only a break stops it."""


def markdown_escape(text: str) -> str:
    """One line of GitHub-flavoured Markdown that shows exactly this text: no markup, links, HTML or mentions.

    Safe in running text and in table cells.

    >>> markdown_escape("<b>[x](javascript:y)|@me")
    '&lt;b&gt;\\\\[x\\\\]\\\\(javascript:y\\\\)\\\\|@&#8203;me'
    """
    line = visible(text).strip()
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _MARKDOWN.sub(r"\\\g<0>", line)
    line = _LINE_START.sub(lambda match: f"&#{ord(match[0][0])};{match[0][1:]}", line)
    line = line.replace("@", "@" + _BREAK).replace("://", ":" + _BREAK + "//")
    line = re.sub(r"\\#(?=\w)", r"\#" + _BREAK, line)  # issue numbers
    return re.sub(r"(?i)\b(www|gh)(?=[.-])", r"\1" + _BREAK, line)
