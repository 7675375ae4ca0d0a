"""Characters that do not show, and text made safe to read."""

from __future__ import annotations

from typing import Final

# Characters that str.isprintable() lets through although they draw nothing: a caption can carry a message in them.
_BLANK: Final = frozenset(
    chr(code)
    for start, stop in (
        (0x034F, 0x034F),  # combining grapheme joiner
        (0x115F, 0x1160),  # Hangul fillers
        (0x17B4, 0x17B5),  # Khmer inherent vowels
        (0x180B, 0x180F),  # Mongolian variation selectors
        (0x2800, 0x2800),  # Braille blank
        (0x3164, 0x3164),  # Hangul filler
        (0xFE00, 0xFE0F),  # variation selectors
        (0xFFA0, 0xFFA0),  # half-width Hangul filler
        (0xE0100, 0xE01EF),  # more variation selectors
    )
    for code in range(start, stop + 1)
)


# fmt: off
_CONTROLS: Final = (
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "TAB", "LF", "VT", "FF", "CR", "SO", "SI",
    "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS", "RS", "US",
)


def is_hidden(character: str) -> bool:
    """Whether a character draws nothing, or moves others: controls, bidi marks, odd spaces, surrogates, fillers."""
    return not character.isprintable() or character in _BLANK


def hidden_name(character: str) -> str:
    """A hidden character's name in plain letters, for pages whose fonts may lack the pictures `visible` uses.

    >>> hidden_name(chr(27)), hidden_name(chr(0x202E))
    ('ESC', 'U+202E')
    """
    code = ord(character)
    return _CONTROLS[code] if code < 0x20 else f"U+{code:04X}"


def _shown(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"<U+{code:04X}>"


def visible(text: str) -> str:
    """The text with every character that cannot be seen spelled out; always encodable as UTF-8, always one line.

    >>> visible("a" + chr(27) + "[31m cat" + chr(0x202E) + chr(10))
    'a␛[31m cat<U+202E>␊'
    """
    if text.isprintable() and _BLANK.isdisjoint(text):
        return text
    return "".join(_shown(character) if is_hidden(character) else character for character in text)


def shorten(text: str, length: int) -> str:
    """The first `length` characters, ending in an ellipsis if any are missing.

    >>> shorten("a cat on a mat", 6)
    'a cat…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"
