"""Class and file names as people read them: printable, short, and still distinct."""

import bisect
import itertools
import unicodedata
from collections import Counter
from collections.abc import Sequence

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"

_LISTED = 8  # names in a line, at most


def printable(name: str) -> str:
    """The name without control characters, and encodable as UTF-8.

    Tabs, newlines and the like become escapes (`\\t`), as do the bytes of a file name that is
    not UTF-8 (`\\xe8`).
    """
    return "".join(c if c.isprintable() else _escape(c) for c in name)


def in_one_line(name: str) -> str:
    """The name without the characters that end a line, which become escapes; else unchanged."""
    return "".join(_escape(c) if len(f"{c}.".splitlines()) > 1 else c for c in name)


def listed(names: Sequence[str]) -> str:
    """The names in a line, separated by commas; of many the first ones and how many more."""
    shown = ", ".join(shorten(names, 20)[:_LISTED])
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def shorten(names: Sequence[str], width: int) -> list[str]:
    """Distinct names, at most `width` columns wide.

    A long name is cut at its end; those that would then look alike are cut in the middle, and
    those that still do get their number.

    Args:
        names: any text; made `printable` first.
        width: of each at most, in columns of a terminal; 4 or more.

    Examples:
        >>> shorten(["cat", "german shepherd", "german sheepdog"], 10)
        ['cat', 'germa…herd', 'germa…pdog']
    """
    full = [printable(name) for name in names]
    fits = [display_width(name) <= width for name in full]

    def at_end(number: int, name: str) -> str:
        return name if fits[number] else _prefix(name, width - 1).rstrip() + _ELLIPSIS

    def in_middle(number: int, name: str) -> str:
        tail = (width - 1) // 2
        if fits[number]:
            return name
        return _prefix(name, width - 1 - tail) + _ELLIPSIS + _prefix(name[::-1], tail)[::-1]

    def numbered(number: int, name: str) -> str:
        end = _ELLIPSIS + str(number)
        return _prefix(name, width - len(end)) + end

    shown = [at_end(number, name) for number, name in enumerate(full)]
    for cut in (in_middle, numbered):
        count = Counter(shown)
        shown = [
            cut(number, name) if count[short] > 1 else short
            for number, (name, short) in enumerate(zip(full, shown, strict=True))
        ]
    if len(set(shown)) < len(set(full)):  # a number may end as another name does
        return [name if fits[n] else numbered(n, name) for n, name in enumerate(full)]
    return shown


def untested(classes: Sequence[str]) -> str:
    """The line about classes of which there is no test image."""
    whose = "its" if len(classes) == 1 else "their"
    return f"there is no test image of {listed(classes)}, so {whose} error is unknown"


def display_width(text: str) -> int:
    """The columns that text takes in a terminal: Chinese characters take two each."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _prefix(text: str, width: int) -> str:
    """The beginning of the text that is at most `width` columns wide."""
    ends = list(itertools.accumulate(map(_columns, text)))
    return text[: bisect.bisect_right(ends, width)]
