"""Many small images on one pair of axes, in rows, with words above or upon them."""

from collections.abc import Sequence

import matplotlib
import numpy as np

# Room between images, and for a line of words above one, as shares of an image's side.
_GAP, _LINE = 0.08, 0.3


def draw_images(
    axes: matplotlib.axes.Axes,
    images: Sequence[np.ndarray],
    columns: int,
    *,
    words: Sequence[str] | None = None,
    corners: Sequence[str] | None = None,
    word_size: float = 8.0,
) -> None:
    """Fill the axes with images, row by row from the upper left; cut to what there is.

    Args:
        axes: where; nothing else should be on them.
        images: uint8 [H, W, 1 or 3] each.
        columns: images in a row.
        words: what stands above each, if anything, in one line or more.
        corners: what stands in the upper left corner of each, if anything.
        word_size: of both, in points.
    """
    room = _LINE * max((word.count("\n") + 1 for word in words), default=0) if words else 0.0
    high = 1.0 + _GAP + room
    wide = 1.0 + _GAP
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        left, top = column * wide, -row * high - room
        extent = (left, left + 1, top - 1, top)
        shown = image[..., 0] if image.shape[-1] == 1 else image
        axes.imshow(shown, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="nearest")
        if words:
            axes.text(left + 0.5, top + 0.06, words[i], size=word_size, ha="center", va="bottom")
        if corners:
            axes.text(
                left + 0.02,
                top - 0.02,
                corners[i],
                size=word_size,
                color="white",
                ha="left",
                va="top",
                bbox={"facecolor": "black", "alpha": 0.65, "pad": 1.0, "lw": 0},
            )
    rows = -(-len(images) // columns)
    margin = 0.05
    axes.set(
        xlim=(-margin, columns * wide - _GAP + margin),
        ylim=(-rows * high + _GAP - margin, margin),
        aspect="equal",
    )
    axes.set_axis_off()
