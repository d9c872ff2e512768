"""Text in figures, for class and file names of any length and with any characters."""

import functools
from collections.abc import Sequence
from typing import Any

from absl import logging
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties

from semisup.evaluation import names

# Fonts with characters that matplotlib's own lacks; those installed are used.
_FALLBACKS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "PingFang SC"),
    *("Hiragino Sans GB", "Microsoft YaHei", "SimHei", "Malgun Gothic", "Arial Unicode MS"),
    *("Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji"),
)
_BOX = "\N{WHITE SQUARE}"

_WIDTH = 40  # columns of a name that stands alone


def plain() -> dict[str, Any]:
    """The properties of matplotlib text that is shown as it is: `$` begins no formula."""
    return {"parse_math": False, "fontfamily": list(_families())}


def short_names(given: Sequence[str], width: int) -> list[str]:
    """Names to draw, at most `width` columns wide, distinct where the given ones are.

    Characters that cannot be drawn become escapes (`\\t`) or, where no installed font has them,
    boxes. Draw them with the properties of `plain`.

    Args:
        given: any text.
        width: in columns of a terminal; 4 or more.
    """
    printable = [names.printable(name) for name in given]
    missing = {c for name in printable for c in name} - _characters()
    if missing:
        _warn("".join(sorted(missing)[:20]))
    boxes = str.maketrans(dict.fromkeys(missing, _BOX))
    return names.shorten([name.translate(boxes) for name in printable], width)


def short_name(name: str) -> str:
    """One name, as `short_names` has it."""
    return short_names([name], _WIDTH)[0]


@functools.cache
def _families() -> tuple[str, ...]:
    installed = set(font_manager.fontManager.get_font_names())
    return ("sans-serif", *(name for name in _FALLBACKS if name in installed))


@functools.cache
def _characters() -> frozenset[str]:
    """All that the fonts can draw."""
    found = [font_manager.findfont(FontProperties(family=[name])) for name in _families()]
    return frozenset(chr(c) for path in found for c in font_manager.get_font(path).get_charmap())


@functools.cache
def _warn(missing: str) -> None:
    logging.warning(f"no installed font has the characters {missing}; pictures show {_BOX}")
