"""Convert 16-bit, 32-bit and float images to 8 bits.

Most such files do not say which value is white: the pixels of a 12-bit camera fill a sixteenth of
16 bits. So one range is found for the whole set, and used for prediction, too.
"""

import functools
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, NamedTuple

import numpy as np
from absl import logging
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin

# Of a set that says nothing else.
_SIXTEEN_BITS = 2**16 - 1

# Where the values of a set lie in less than this share of the range from 0 on, they are stretched.
_NARROW = 0.25


class ValueRange(NamedTuple):
    """The range of values that is mapped to 0 to 255."""

    black: float
    white: float


class Statistics(NamedTuple):
    """Statistics of the values of images with more than 8 bits.

    Attributes:
        minimum: the smallest.
        maximum: the largest.
        usual: the largest but for a thousandth of the pixels of each image.
        integers: whether they are whole numbers.
    """

    minimum: float
    maximum: float
    usual: float
    integers: bool


FULL = ValueRange(0, _SIXTEEN_BITS)

# Values of at most 14 bits have fewer levels than this in the upper 8 of 16 bits.
FEW_LEVELS = 64

# Pillow's names of layouts with 16 bits for each value; "BGR;16" has 16 for all three.
_SIXTEEN_EACH = re.compile(r"(RGB|RGBA|RGBa|RGBX|LA);16")

# Tags of TIFF files, and some of their values.
_BITS, _PHOTOMETRIC, _CHANNELS, _PLANES, _SAMPLE_FORMAT = 258, 262, 277, 284, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2

# How to turn a picture with this EXIF orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# The same as views of an array, which take no memory: whether columns become rows, then the steps
# along rows and columns. Pillow turns no colours of 16 bits.
_VIEWS = {
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """An array [H, W, C] of this EXIF orientation, the right way up: [H, W, C] or [W, H, C]."""
    swapped, rows, columns = _VIEWS.get(orientation, (False, 1, 1))
    return (values.swapaxes(0, 1) if swapped else values)[::rows, ::columns]


def has_many_bits(image: ImageFile.ImageFile) -> bool:
    """Whether the values of an opened file have more than 8 bits each."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return True
    if image.format == "PPM":
        arguments = image.tile[0].args if image.tile else None
        return isinstance(arguments, tuple) and image.mode == "RGB" and arguments[-1] > 255
    # Of other modes, such as CMYK, Pillow gives 8 bits, which it converts to RGB.
    if image.mode not in ("RGB", "RGBA"):
        return False
    return _bits_of_tiff(image) > 8 or bool(_SIXTEEN_EACH.match(_layout(image)))


def refuse_unsupported(image: ImageFile.ImageFile) -> None:
    """Raise ValueError if Pillow would give other values than an opened file has."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    bits = _bits_of_tiff(image)
    if bits <= 8 and _SIGNED in image.tag_v2.get(_SAMPLE_FORMAT, ()):
        raise ValueError("its values are signed 8-bit numbers; save it without signs or as 16 bits")
    if bits > 8 and _in_raw_planes(image) and image.mode not in ("RGB", "RGBA"):
        raise ValueError(f"it has separate channels of {bits} bits; save it as RGB")


def _in_raw_planes(image: ImageFile.ImageFile) -> bool:
    """Whether an opened TIFF file has its channels one after the other, not compressed."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or not image.tile:
        return False
    several = image.tag_v2.get(_PLANES) == 2 and image.tag_v2.get(_CHANNELS, 1) > 1
    return several and image.tile[0].codec_name == "raw"


def _bits_of_tiff(image: ImageFile.ImageFile) -> int:
    """Bits of a value of an opened TIFF file; 0 of any other."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 0
    return max(image.tag_v2.get(_BITS, (1,)))


def _layout(image: ImageFile.ImageFile) -> str:
    """What Pillow calls the order and the bits of a file's values, such as "RGBa;16L"."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else None
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def is_grey(image: ImageFile.ImageFile) -> bool:
    """Whether an opened file is decoded to one channel, apart from its alpha."""
    if image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;16"):
        return True
    # Pillow takes grey PNG files with 16 bits and alpha for RGBA.
    return image.format == "PNG" and _layout(image) == "LA;16B"


def read_many_bits(image: ImageFile.ImageFile) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a file with more than 8 bits a value.

    Returns:
        The values as they are, integers or floats [H, W] or [H, W, 3], and the opacity in
        [0, 1], float32 [H, W], or None where all is opaque.
    """
    if image.mode != "RGB" and image.mode != "RGBA":
        transparent = image.info.get("transparency")
        image.load()
        values = _grey_values(image)
        see_through = isinstance(transparent, int) and bool((values == transparent).any())
        return values, (values != transparent).astype(np.float32) if see_through else None
    if image.format == "PNG":
        return _read_colour_png(image)
    if image.format == "PPM":
        colours, opacity = _read_colour_ppm(image), None
    else:
        colours, opacity = _read_colour_tiff(image)
    if colours is None and _in_raw_planes(image):  # where Pillow takes every byte for a value
        raise ValueError("it has separate channels of 16 bits; `pip install tifffile` reads them")
    if colours is None:  # Pillow gives the upper 8 bits
        name = image.fp.name if image.fp else "an image"
        image.load()
        upper = np.asarray(image.convert("RGB"))
        if image.mode == "RGBA":
            opacity = np.asarray(image.getchannel("A"), np.float32) / 255
        if upper.min() < 255 and upper.max() - upper.min() < FEW_LEVELS:
            levels = len(np.unique(upper))
            logging.log_first_n(
                logging.WARNING,
                f"only the upper 8 of 16 bits of {name} can be read, {levels} of 256 levels; "
                "`pip install tifffile imagecodecs` lets all bits be read",
                n=3,
            )
        colours = upper.astype(np.uint16) * 257
    return colours, opacity


def _grey_values(image: ImageFile.ImageFile) -> np.ndarray:
    """The values of a loaded file with one channel, with the sign and the polarity that it has."""
    values = np.asarray(image)
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return values
    unsigned = _SIGNED not in image.tag_v2.get(_SAMPLE_FORMAT, ())
    if image.mode == "I" and _bits_of_tiff(image) == 32 and unsigned:
        values = values.view(np.uint32)
    if image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow inverts those with 8 bits
        if values.dtype.kind == "u":
            return np.array(np.iinfo(values.dtype).max, values.dtype) - values
        return -values
    return values


def statistics(values: np.ndarray) -> Statistics:
    """Compute the statistics of one image's values, without NaN and infinity."""
    integers = values.dtype.kind in "iu"
    finite = values if integers else values[np.isfinite(values)]
    if finite.size == 0:
        return Statistics(0.0, 0.0, 0.0, integers)
    some = finite.ravel()[:: max(1, finite.size // 10_000)]
    usual = float(np.quantile(some, 0.999))
    return Statistics(float(finite.min()), float(finite.max()), usual, integers)


def range_of(parts: Sequence[Statistics]) -> ValueRange:
    """The range that the values of a set of images say, given those of each.

    For whole numbers it goes from 0 to the largest number with as many bits as the largest value
    needs, at least 8, so that an image which is a little brighter fits as well; if the values fill
    less than a quarter of that, from the smallest value to the largest. For floats it is [0, 1] or
    [0, 255] if no value is negative and the largest fills more than half of it; otherwise it goes
    from the smallest value to the largest.
    """
    minimum, maximum = min(part.minimum for part in parts), max(part.maximum for part in parts)
    if all(part.integers for part in parts) and minimum >= 0:
        white = float(2 ** max(8, int(maximum).bit_length()) - 1)
        narrow = white > 255 and maximum - minimum < _NARROW * white
    else:
        white = next((w for w in (1.0, 255.0) if minimum >= 0 and w / 2 < maximum <= w), 0.0)
        narrow = white == 0
    if narrow and maximum > minimum:
        return ValueRange(minimum, maximum)
    return ValueRange(0.0, white or 1.0)


def as_bytes(values: np.ndarray, values_in: ValueRange) -> np.ndarray:
    """Values as uint8: black becomes 0, white 255, and what lies beyond them too."""
    if values.dtype in (np.dtype("uint16"), np.dtype(">u2")):
        return _table(values_in)[values]
    floats = np.nan_to_num(values.astype(np.float64), nan=values_in.black)
    return _scaled(floats, values_in, values.dtype.kind in "iu")


@functools.lru_cache(maxsize=8)
def _table(values_in: ValueRange) -> np.ndarray:
    """The byte of each of the 65,536 values."""
    return _scaled(np.arange(_SIXTEEN_BITS + 1, dtype=np.float64), values_in, integers=True)


def _scaled(values: np.ndarray, values_in: ValueRange, integers: bool) -> np.ndarray:
    black, white = values_in
    if integers:  # as many values for each byte: of 16 bits, the upper 8
        scaled = np.floor((values - black) * (256 / (white - black + 1)))
    else:
        scaled = np.round((values - black) * (255 / (white - black)))
    return np.clip(scaled, 0, 255).astype(np.uint8)


def _read_colour_png(image: ImageFile.ImageFile) -> tuple[np.ndarray, np.ndarray | None]:
    """Pillow keeps the upper 8 bits of these; TensorFlow keeps all."""
    import tensorflow as tf

    pixels: np.ndarray = tf.io.decode_png(_content(image).read(), dtype=tf.uint16).numpy()
    opacity = None
    if pixels.shape[2] in (2, 4):
        opacity = pixels[..., -1].astype(np.float32) / _SIXTEEN_BITS
        pixels = pixels[..., :-1]
    elif isinstance(transparent := image.info.get("transparency"), tuple):  # TensorFlow shows it
        opacity = (pixels != np.array(transparent)).any(axis=2).astype(np.float32)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels, opacity


def _read_colour_ppm(image: ImageFile.ImageFile) -> np.ndarray | None:
    """16-bit values, of which white is what the file says; None of a file in plain text."""
    tile = image.tile[0]
    if tile.codec_name != "ppm" or not isinstance(tile.args, tuple):
        return None
    size = image.height * image.width * 3
    values = np.frombuffer(_content(image, tile.offset).read(2 * size), ">u2")
    if len(values) < size:
        raise ValueError("image file is truncated")
    scaled = values.astype(np.uint32) * _SIXTEEN_BITS // tile.args[-1]
    return np.minimum(scaled, _SIXTEEN_BITS).astype(np.uint16).reshape(image.height, -1, 3)


def _read_colour_tiff(image: ImageFile.ImageFile) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Read the first page; None if the package tifffile can't read its compression."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return None, None
    layout = _layout(image)
    with suppress(Exception):
        import tifffile  # comes with scikit-image

        values = tifffile.imread(_content(image), key=0)
        if values.ndim == 3 and image.tag_v2.get(_PLANES) == 2:
            values = np.moveaxis(values, 0, 2)
        values = upright(values, image.tag_v2.get(ExifTags.Base.Orientation, 1))
        if values.shape[:2] == (image.height, image.width) and values.shape[2] in (3, 4):
            opacity = _opacity(values) if image.mode == "RGBA" else None
            colours = values[..., :3]
            if opacity is not None and layout.startswith("RGBa"):  # they were multiplied by it
                full = np.maximum(opacity, 1 / _SIXTEEN_BITS)[..., None]
                colours = np.minimum(np.round(colours / full), _SIXTEEN_BITS).astype(np.uint16)
            return colours, opacity
    return None, None


def _opacity(values: np.ndarray) -> np.ndarray:
    """The opacity in values [H, W, 4], in [0, 1], float32; 1 is the most that their bits hold.

    How many bits these are, of the 16, the largest of all values says, the colours' too.
    """
    opaque = next(2**bits - 1 for bits in (10, 12, 14, 16) if values.max() < 2**bits)
    return values[..., 3].astype(np.float32) / opaque


def _content(image: ImageFile.ImageFile, offset: int = 0) -> IO[bytes]:
    """The opened file itself, from `offset` on."""
    if image.fp is None:
        raise ValueError("the file is closed")
    image.fp.seek(offset)
    return image.fp
