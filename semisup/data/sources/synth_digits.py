"""Digits rendered from the fonts that matplotlib carries: a source domain without a download.

Much like the synthetic digits of Ganin and Lempitsky: random font, size, place, rotation,
colours, blur and neighbouring digits, 32x32 RGB; some of the sevens are crossed. Digit number i
of a set is a pure function of (seed, i).
"""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from semisup.data.dataset import Dataset
from semisup.data.sources.mnist import DIGITS

TRAIN, TEST = 20_000, 2_000

_SIZE = 32
_FONT_SIZES = range(20, 31, 2)
# Of matplotlib's fonts, those with ordinary digits in them.
_FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
    "cmr10", "cmss10", "cmtt10", "cmb10",
)  # fmt: skip

# Of the sevens, how many have a bar through the stem: in no font, but often in handwriting.
_CROSSED_SEVENS = 0.3

# The smallest difference in mean brightness between a digit and its ground, of 255.
_CONTRAST = 50


def load_synth_digits() -> Dataset:
    """20,000 rendered digits to train on and 2,000 to test on, 32x32x3, the same every time."""
    return Dataset("synth_digits", *render(TRAIN, seed=0), *render(TEST, seed=1), DIGITS)


def render(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Render digits, as many of each class as can be.

    Args:
        count: how many.
        seed: names the set; number i is the same whatever the count.

    Returns:
        Images uint8 [count, 32, 32, 3] and labels int64 [count].
    """
    labels = np.arange(count) % 10
    images = np.empty((count, _SIZE, _SIZE, 3), np.uint8)
    for i, label in enumerate(labels):
        images[i] = _render_one(int(label), np.random.default_rng((seed, i)))
    return images, labels


def _render_one(digit: int, random: np.random.Generator) -> np.ndarray:
    font = _font(_FONTS[random.integers(len(_FONTS))], int(random.choice(_FONT_SIZES)))
    ink, ground, other = _colours(random)
    centre = _SIZE / 2 + random.uniform(-2.5, 2.5, size=2)
    mask = _mask(str(digit), font, tuple(centre))
    of_bar = random.spawn(1)[0]  # so that all else of an image is the same with a bar and without
    if digit == 7 and of_bar.random() < _CROSSED_SEVENS:
        _cross(mask, of_bar)
    # A neighbour to the left and one to the right, each there every second time.
    neighbours = Image.new("L", (_SIZE, _SIZE))
    for side in (-1, 1):
        distance = random.uniform(0.85, 1.1) * font.size
        shown, text = random.random() < 0.5, str(random.integers(10))
        if shown:
            place = (centre[0] + side * distance, centre[1] + random.uniform(-3, 3))
            neighbours.paste(255, mask=_mask(text, font, place))
    image = Image.new("RGB", (_SIZE, _SIZE), ground)
    image.paste(other if random.random() < 0.3 else ink, mask=neighbours)
    image.paste(ink, mask=mask)
    angle = random.uniform(-20, 20)
    image = image.rotate(angle, Image.Resampling.BILINEAR, center=tuple(centre), fillcolor=ground)
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0, 1.1)))
    noise = random.normal(scale=random.uniform(0, 8), size=(_SIZE, _SIZE, 1))
    return np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)


def _mask(text: str, font: ImageFont.FreeTypeFont, centre: tuple[float, float]) -> Image.Image:
    mask = Image.new("L", (_SIZE, _SIZE))
    ImageDraw.Draw(mask).text(centre, text, fill=255, font=font, anchor="mm")
    return mask


def _cross(mask: Image.Image, random: np.random.Generator) -> None:
    """Draw a bar through the stem of a seven."""
    ink = np.asarray(mask) > 0
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    height = rows[0] + random.uniform(0.45, 0.65) * len(rows)
    stem = np.flatnonzero(ink[int(height)])
    reach = random.uniform(0.25, 0.45) * len(columns)
    rise = random.uniform(-0.3, 0.3) * reach
    ends = [(stem.mean() - reach, height + rise), (stem.mean() + reach, height - rise)]
    width = max(1, round(random.uniform(0.5, 1) * len(stem)))
    ImageDraw.Draw(mask).line(ends, fill=255, width=width)


def _colours(random: np.random.Generator) -> list[tuple[int, int, int]]:
    """Colours of the digit, of the ground and of some neighbours; the first two differ."""
    while True:
        colours = random.integers(0, 256, size=(3, 3))
        if abs(colours[0].mean() - colours[1].mean()) >= _CONTRAST:
            return [(int(red), int(green), int(blue)) for red, green, blue in colours]


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf" / f"{name}.ttf", size)
