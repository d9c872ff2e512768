"""Building blocks of figures: montages, the confusion matrix, contact sheets, saving."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from semisup.data.dataset import Images
from semisup.data.lazy_images import as_images
from semisup.errors import InputError
from semisup.evaluation.metrics import Report
from semisup.evaluation.names import display_width
from semisup.runs import files
from semisup.runtime.paths import expanded
from semisup.visualization.text import short_names, text_properties

# Colours that colour-blind readers can tell apart, of the palette of Okabe and Ito.
BLUE, ORANGE = "#0072b2", "#d55e00"

_GAP = 0.08  # between images, as a share of an image's width

_NUMBERED = 20  # classes: of more, the confusion matrix is drawn without its counts
_POINT = 1 / 72  # inches
_TITLE = 5.0  # inches, in which a title fits
_CHARACTER = 0.62  # the width of a digit, as a share of the font's size
_LETTER = 0.8  # the same of a letter, at most but for a few
_LONG = 1.5  # longer images have their captions on a square


def draw_images(
    axes: matplotlib.axes.Axes,
    images: Images | Sequence[np.ndarray],
    columns: int,
    *,
    captions: Sequence[str] | None = None,
    corners: Sequence[str] | None = None,
    right: Sequence[bool] | None = None,
    text_size: float = 8.0,
    line: float = 0.3,
) -> None:
    """Fill the axes with images, row by row from the upper left.

    Args:
        axes: where; nothing else should be on them.
        images: [H, W, 1 or 3] each, all of one shape, with pixels as `drawable` takes them. There
            may be none.
        columns: images in a row.
        captions: text above each, in one line or more.
        corners: text in the upper left corner of each.
        right: whether each is right: a blue frame, or a dashed orange one.
        text_size: of captions and corners, in points.
        line: the height of a caption's line, as a share of an image's.
    """
    axes.set_axis_off()
    if len(images) == 0:
        return
    pixels = drawable(images)
    if captions and max(pixels.shape[1:3]) > _LONG * min(pixels.shape[1:3]):
        pixels = squared(pixels)
    height, width = pixels.shape[1:3]
    gap = max(1, round(_GAP * width))
    # A montage has the same gap everywhere, so the space for captions is part of each image.
    lines = max((caption.count("\n") + 1 for caption in captions), default=0) if captions else 0
    above = math.ceil(lines * line * height)
    tiles = np.pad(pixels, ((0, 0), (above, 0), (0, 0), (0, 0)), constant_values=255)
    sheet = montage(tiles, columns, gap)
    axes.imshow(
        sheet[..., 0] if sheet.shape[-1] == 1 else sheet,
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=(0, sheet.shape[1], sheet.shape[0], 0),  # in pixels, y downwards
        interpolation="nearest",
    )
    for i in range(len(images)):
        row, column = divmod(i, columns)
        left = gap + column * (width + gap)
        top = gap + row * (above + height + gap) + above
        if captions:
            x, y = left + width / 2, top - 0.2 * line * height
            axes.text(
                x, y, captions[i], size=text_size, ha="center", va="bottom", **text_properties()
            )
        if corners:
            x, y = left + 0.02 * width, top + 0.02 * height
            text = axes.text(
                x, y, corners[i], size=text_size, ha="left", va="top", **text_properties()
            )
            text.set(color="white", bbox={"facecolor": "black", "alpha": 0.65, "pad": 1, "lw": 0})
        if right is not None:
            colour, style = (BLUE, "-") if right[i] else (ORANGE, (0, (2, 1)))
            frame = Rectangle(
                (left, top), width, height, fill=False, ec=colour, lw=2.0, linestyle=style
            )
            axes.add_patch(frame)


def drawable(images: Images | Sequence[np.ndarray]) -> np.ndarray:
    """Images as the bytes that are drawn.

    Args:
        images: [N, H, W, 1 or 3], from black to white: whole numbers from 0 to 255, floats from
            0 to 1 or from 0 to 255, or booleans. Floats of which none is above 1 are taken to go
            to 1: else all of them would be black.

    Returns:
        uint8 [N, H, W, C].

    Raises:
        InputError: they have another shape, or pixels that are beyond 0 or 255, or not finite.
    """
    pixels = np.asarray(as_images(images))
    if pixels.ndim != 4 or pixels.shape[3] not in (1, 3):
        raise InputError(
            f"images to draw must be [N, H, W, 1 or 3], but are {pixels.shape}; give "
            "images[..., None] if they are grey"
        )
    if pixels.dtype == np.uint8:
        return pixels
    # What rounding or resizing has put just above 1 still belongs to [0, 1].
    for white in (255.0,) if pixels.dtype.kind in "iu" else (1.0, 255.0):
        scaled = np.round(pixels.astype(np.float64) * (255.0 / white))
        if scaled.size == 0 or (scaled.min() >= 0 and scaled.max() <= 255):
            return scaled.astype(np.uint8)
    raise InputError(
        "pixels to draw must be in [0, 255], or all in [0, 1], but go from "
        f"{float(pixels.min()):g} to {float(pixels.max()):g}; divide those of 16 bits by 257, and "
        "let a layer of the network standardise them"
    )


def squared(images: np.ndarray, fill: int = 255) -> np.ndarray:
    """Images uint8 [N, H, W, C], each in the middle of a square of the colour `fill`."""
    side = max(images.shape[1:3])
    around = [((side - n) // 2, (side - n + 1) // 2) for n in images.shape[1:3]]
    return np.pad(images, ((0, 0), *around, (0, 0)), constant_values=fill)


def montage(images: np.ndarray, columns: int, gap: int = 0, fill: int = 255) -> np.ndarray:
    """Images in rows on one sheet, from the upper left.

    Args:
        images: uint8 [N, H, W, C].
        columns: images in a row.
        gap: pixels between the images and around them.
        fill: the value of the gaps, and of the places that are left.

    Returns:
        uint8 [height, width, C].
    """
    count, height, width, channels = images.shape
    down, across = height + gap, width + gap
    shape = (-(-count // columns) * down + gap, columns * across + gap, channels)
    sheet = np.full(shape, fill, np.uint8)
    for i, image in enumerate(images):
        top, left = gap + i // columns * down, gap + i % columns * across
        sheet[top : top + height, left : left + width] = image
    return sheet


def draw_confusion(axes: matplotlib.axes.Axes, report: Report, side: float) -> None:
    """Draw a confusion matrix: each row's shares as colours, up to 20 classes its counts too.

    Args:
        axes: where; nothing else should be on them.
        report: the mistakes.
        side: about how wide and high the axes will be, in inches, which decides on the text's
            size.
    """
    classes, cell = len(report.class_names), side / len(report.class_names)
    share = report.confusion / np.maximum(report.confusion.sum(axis=1, keepdims=True), 1)
    # The square root makes a few mistakes in a hundred visible.
    colours = axes.imshow(share, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    if classes <= _NUMBERED:
        digits = len(str(report.confusion.max()))
        size = min(9.0, 0.9 * cell / (digits * _CHARACTER * _POINT))
        for (row, column), count in np.ndenumerate(report.confusion):
            if count:
                colour = "white" if share[row, column] > 0.3 else "black"
                text = axes.text(column, row, str(count), ha="center", va="center", size=size)
                text.set_color(colour)
    else:
        beside = axes.inset_axes((1.03, 0.2, 0.03, 0.6))
        axes.figure.colorbar(colours, cax=beside, ticks=[0, 0.1, 0.5, 1])
        beside.set_title("share\nof class", fontsize=9)
    size = float(np.clip(0.8 * cell / _POINT, 5.0, 10.0))
    every = math.ceil(1.15 * size * _POINT / cell)  # names that do not overlap
    ticks = range(0, classes, every)
    shown = short_names(report.class_names, 14)[::every]
    widest = _LETTER * max(map(display_width, shown))
    upright = widest * size * _POINT > every * cell
    axes.set_xticks(ticks, shown, rotation=90 if upright else 0, fontsize=size, **text_properties())
    axes.set_yticks(ticks, shown, fontsize=size, **text_properties())
    axes.set(xlabel="predicted class", ylabel="true class")


def confusion_figure(report: Report, title: str = "") -> Figure:
    """The confusion matrix with its counts, in which the mistakes are highlighted.

    Args:
        report: the mistakes.
        title: stands above; by default the test error.
    """
    matrix = min(0.45 * len(report.class_names), 9.0)
    side = 1.8 + matrix
    figure = Figure(figsize=(max(side, _TITLE), side), layout="constrained")
    axes = figure.add_subplot()
    draw_confusion(axes, report, matrix)
    axes.set_title(title or f"test error {report.error_in_words}", **text_properties())
    return figure


def contact_sheet(images: Images, captions: Sequence[str], title: str = "") -> Figure:
    """Images side by side, a caption above each.

    Args:
        images: [N, H, W, C], with pixels as `drawable` takes them; there may be none.
        captions: one for each, of one line or more; names in them from `short_names`.
        title: stands above them.

    Raises:
        InputError: there are not as many captions as images, or as `drawable`.
    """
    images = as_images(images)
    if len(captions) != len(images):
        raise InputError(
            f"there are {len(images)} images, but {len(captions)} `captions`; give one for each"
        )
    columns = max(1, min(10, len(images)))
    rows = max(1, -(-len(images) // columns))
    lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    figure = Figure(
        figsize=(max(1.3 * columns, _TITLE), (1.3 + 0.18 * lines) * rows + 0.5),
        layout="constrained",
    )
    figure.suptitle(title, fontsize=11, **text_properties())
    draw_images(figure.add_subplot(), images, columns, captions=captions, line=0.13)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure, whole or not at all; the file's ending (.png, .pdf, .svg) says as what.

    Raises:
        InputError: there is no such folder, no figure is written as such a file, or the disk is
            full.
    """
    path = expanded(path)
    if path.suffix[1:].lower() not in figure.canvas.get_supported_filetypes():
        raise InputError(
            f"no figure can be written as {path}; its name must end in .png, .pdf or .svg"
        )
    with files.whole(path) as temporary:
        figure.savefig(temporary, dpi=150)


def to_pixels(figure: Figure) -> np.ndarray:
    """A figure as an image, uint8 [1, height, width, 3], for `tf.summary.image`."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[None, ..., :3]
