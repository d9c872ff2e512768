import logging
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

from semisup.visualization import plots, text

LATIN = b"ch\xe8vre".decode("utf-8", "surrogateescape")
NAMES = [
    "from_$5_to_$10_",
    "a $ b",
    r"\\alpha_{\\$",
    "tab\tand\nline",
    LATIN,
    "^_~%#&",
    "\u732b",
    "\u72d7",
]


@pytest.mark.parametrize("name", NAMES)
def test_plain_text_of_any_name_is_drawn_as_it_is(name):
    figure = Figure()
    axes = figure.add_subplot()
    [short] = text.short_names([name], 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for drawn in (
            axes.set_title(short, **text.plain()),
            axes.text(0.5, 0.5, short, **text.plain()),
            figure.suptitle(short, **text.plain()),
        ):
            assert drawn.get_text() == short
        axes.set_xticks([0.5], [short], **text.plain())
        assert np.ptp(plots.to_pixels(figure)) > 0


def test_short_names_are_cut_to_distinct_ones():
    assert text.short_names(["cat", "german shepherd", "german sheepdog"], 10) == [
        "cat", "germa\u2026herd", "germa\u2026pdog",
    ]  # fmt: skip


def test_short_names_have_boxes_for_missing_glyphs_and_stay_distinct(monkeypatch, caplog):
    monkeypatch.setattr(text, "_characters", lambda: frozenset(map(chr, range(256))) | {"\u25a1"})
    text._warn.cache_clear()
    with caplog.at_level(logging.WARNING, "absl"):
        short = text.short_names(["\u732b", "\u72d7", "\u732b cat"], 10)
        text.short_names(["\u732b", "\u72d7", "\u732b cat"], 10)
    assert short == ["\u25a1\u20260", "\u25a1\u20261", "\u25a1 cat"]
    [record] = caplog.records  # one for all of them
    assert "\u72d7\u732b" in record.getMessage()


def test_short_name_is_one_of_short_names():
    assert text.short_name("a" * 50) == "a" * 39 + "\u2026"
