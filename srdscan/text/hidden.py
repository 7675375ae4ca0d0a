"""Characters that do not show, and text made safe to read."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

import regex

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


# fmt: on
_ELEMENT: Final = r"\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\uFE0F\u20E3?|\uFE0E)?"
_SEQUENCE: Final = (
    r"\U0001F3F4[\U000E0030-\U000E0039\U000E0061-\U000E007A]{3,6}\U000E007F"  # a flag of England; longer tags are text
    r"|\p{Regional_Indicator}{1,2}|[0-9#*]\uFE0F?\u20E3|\p{Emoji_Modifier}"
    rf"|%s{_ELEMENT}(?:\u200D{_ELEMENT})*"
)
EMOJI: Final = "(?:" + _SEQUENCE % r"(?=[\p{Extended_Pictographic}--[\x00-\u25FF]]|\p{Emoji_Presentation})" + ")"
"""Pattern (`regex`, V1) of one emoji with all that joins, colours or frames it; ©, arrows and bullets are none."""

# What Unicode's NFKC_Casefold leaves out of texts to compare, control characters, annotation marks, half surrogates.
_INVISIBLE: Final = regex.compile(
    r"[[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cs}\uFFF9-\uFFFB]--[\t-\r\x1C-\x1F\x85]]", regex.V1
)
_JOINING: Final = (
    r"\p{Arabic}\p{Syriac}\p{Thaana}\p{Nko}\p{Mandaic}\p{Mongolian}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}"
    r"\p{Oriya}\p{Tamil}\p{Telugu}\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Tibetan}\p{Khmer}\p{Myanmar}"
)
_EMOJI_OR_INVISIBLE: Final = regex.compile(f"(?P<emoji>{_SEQUENCE % ''})|(?P<invisible>{_INVISIBLE.pattern})", regex.V1)
_NEEDED: Final = regex.compile(
    r"\A\uFEFF|\u00AD"  # a file's byte order mark, a hyphen where a line may end
    rf"|(?<=[{_JOINING}])[\u200C\u200D]"
    r"|(?<=[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}])\u200B"  # ends words, which have no spaces between them
    r"|(?<=\p{Mongolian})[\u180B-\u180F]|(?<=\p{Han})[\uFE00-\uFE02\U000E0100-\U000E01EF]",
    regex.V1,
)
_BIDI: Final = frozenset(map(chr, (0x061C, 0x200E, 0x200F, 0x202A, 0x202B, 0x202C, *range(0x2066, 0x206A))))
_RIGHT_TO_LEFT: Final = regex.compile(r"[\p{Hebrew}\p{Arabic}\p{Syriac}\p{Thaana}\p{Nko}&&\p{L}]", regex.V1)


def stripped(text: str) -> str:
    """The text without invisible and bidirectional characters, as it is searched; what joins emoji stays.

    Variation selectors go, so that an emoji in colour and in outline are one.

    >>> stripped("ba" + chr(0x200B) + "nana" + chr(0xAD) + chr(0xE0041))
    'banana'
    """
    if not _INVISIBLE.search(text):
        return text
    return str(_EMOJI_OR_INVISIBLE.sub(_without_selectors, text))


def _without_selectors(found: regex.Match[str]) -> str:
    return (found["emoji"] or "").replace("\ufe0e", "").replace("\ufe0f", "")


def smuggled(text: str) -> Iterator[str]:
    """The invisible and bidirectional characters of a text that neither its emoji nor its scripts need.

    Needed are: joiners, selectors and tags of emoji; joiners after letters that join or stack (Arabic, Indic); spaces
    of no width after letters of scripts without spaces; selectors of Han and Mongolian forms; direction marks in texts
    with right-to-left letters, overrides never; soft hyphens and a byte order mark in front.

    >>> [hidden_name(character) for character in smuggled("a" + chr(0x202E) + "b" + chr(0xFEFF))]
    ['U+202E', 'U+FEFF']
    """
    if not _INVISIBLE.search(text):
        return
    both_ways = bool(_RIGHT_TO_LEFT.search(text))
    for found in _EMOJI_OR_INVISIBLE.finditer(text):
        character = found["invisible"]
        if character and not (_NEEDED.match(text, found.start()) or (both_ways and character in _BIDI)):
            yield character


def full_name(character: str) -> str:
    """A character's code and Unicode name; what stands for letters or bytes goes by the name of its kind.

    >>> full_name(chr(0x202E)), full_name(chr(0xE0041)), full_name(chr(27))
    ('U+202E RIGHT-TO-LEFT OVERRIDE', 'U+E0000-U+E007F TAG CHARACTERS', 'U+001B ESC')
    """
    code = ord(character)
    for start, stop, kind in _KINDS:
        if start <= code <= stop:
            return f"U+{start:04X}-U+{stop:04X} {kind}"
    name = unicodedata.name(character, _CONTROLS[code] if code < 0x20 else "CONTROL CHARACTER")
    return f"U+{code:04X} {name}"


_KINDS: Final = (
    (0xD800, 0xDFFF, "HALF SURROGATES"),
    (0xFE00, 0xFE0F, "VARIATION SELECTORS"),
    (0xE0000, 0xE007F, "TAG CHARACTERS"),
    (0xE0100, 0xE01EF, "VARIATION SELECTORS"),
    (0xE0080, 0xE0FFF, "UNASSIGNED"),
    (0xFFF0, 0xFFF8, "UNASSIGNED"),
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
