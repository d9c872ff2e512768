"""Image files: found in folders, decoded with Pillow, never trusted.

A camera that was turned stores its picture as the sensor saw it, and how it was held beside
that (EXIF). All that is read here is the right way up.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from semisup.errors import InputError

ENDINGS = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
)

# What Pillow may take a file for, whatever its name. It has readers that run other
# programs (EPS starts Ghostscript), which an untrusted file must not reach.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")

# Larger pictures are refused before they are decoded: a file of a few bytes can
# claim any size. 50 million pixels are 150 MB.
LARGEST = 50_000_000

# Pillow's names of what is decoded to one channel.
_GREY = frozenset(("1", "L", "I;16", "I;16B", "I;16L"))

# EXIF orientations of a picture that lies on its side: height and width change places.
_ON_ITS_SIDE = (5, 6, 7, 8)

Box = tuple[int, int, int, int]


def find_images(folder: Path, deep: bool = False) -> list[Path]:
    """The image files in a folder, in the order of their names.

    Args:
        folder: where.
        deep: also in the folders below it; then it need not exist.
    """
    return sorted(Path(entry.path) for entry in _entries(folder, deep) if _is_image(entry))


def read_header(path: Path) -> tuple[int, int, int]:
    """(height, width, channels) of an image file, without decoding it; 1 channel if grey.

    Raises:
        InputError: the file is missing, empty, no image or absurdly large.
    """
    with _opened(path, to_decode=False) as image:
        height, width = image.height, image.width
        if _orientation(image) in _ON_ITS_SIDE:
            height, width = width, height
        return height, width, 1 if image.mode in _GREY else 3


def read_image(path: Path, size: int = 0, box: Box | None = None) -> np.ndarray:
    """Decode one image file.

    Args:
        path: the file.
        size: if above 0, resize to this height and width (bilinear).
        box: cut out (left, upper, right, lower) first, of the image the right way up.

    Returns:
        uint8 [H, W, 1] if the file is grey, else [H, W, 3].

    Raises:
        InputError: the file is missing, empty, no image, damaged or absurdly large, or
            the box reaches out of it.
    """
    with _opened(path) as image:
        image = _decoded(image, image.mode in _GREY)
        if box is not None:
            left, upper, right, lower = box
            if not (0 <= left < right <= image.width and 0 <= upper < lower <= image.height):
                raise InputError(f"{path} has no region {box}: it is {image.width}x{image.height}")
            image = image.crop(box)
        if size > 0:
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)


def read_image_as(path: Path, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Decode one image file and bring it to the shape that a network takes.

    A file that has the pixels of a training image gives that training image.

    Args:
        path: the file, of any size, grey or in colour.
        image_shape: (H, W, C) wanted, C being 1 (grey) or 3 (RGB).

    Returns:
        uint8 [H, W, C].

    Raises:
        InputError: as `read_image`.
    """
    with _opened(path) as image:
        grey = image.mode in _GREY or image_shape[2] == 1
        return _shaped(_decoded(image, grey), image_shape)


def shaped(pixels: np.ndarray, image_shape: tuple[int, int, int]) -> np.ndarray:
    """An image, uint8 [H, W, 1 or 3], resized and made grey or RGB, as `read_image_as` does."""
    if pixels.shape == image_shape:
        return pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return _shaped(image.convert("L") if image_shape[2] == 1 else image, image_shape)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """An image [H, W, 1 or 3] as [H, W, 3]; a grey one has its channel three times."""
    return image if image.shape[2] == 3 else np.broadcast_to(image, (*image.shape[:2], 3))


def _shaped(image: Image.Image, image_shape: tuple[int, int, int]) -> np.ndarray:
    height, width, channels = image_shape
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image).reshape(height, width, -1)
    return as_rgb(pixels) if channels == 3 else pixels


def _decoded(image: Image.Image, grey: bool) -> Image.Image:
    """The right way up, in one channel or as RGB."""
    turned = _orientation(image) != 1
    image.load()
    if turned:
        # It turns the pixels first. Then it writes the EXIF anew, and may fail at a strange tag.
        with suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16"):
        # 65,536 shades as 256; Pillow would make all from 256 on white.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("its pixels have 32 bits each, of a range that is not known")
    mode = "L" if grey else "RGB"
    return image if image.mode == mode else image.convert(mode)  # which would copy it


def _orientation(image: Image.Image) -> int:
    """The EXIF tag that says how the camera was held; 1 if upright, or not said."""
    if image.format == "TIFF":
        return 1  # Pillow turns these by itself
    with suppress(Exception):  # damaged EXIF is no reason to refuse the pixels
        # Not image.getexif(), which decodes a PNG to look for a tag behind its pixels.
        return Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    return 1


def _entries(folder: Path | str, deep: bool) -> Iterator["os.DirEntry[str]"]:
    """What is in a folder, and if `deep`, in those below it; links to folders are not followed."""
    # A Path and its is_file() for each file of a large set would take several times as long.
    try:
        entries = os.scandir(folder)
    except OSError:
        if deep:  # nothing to find where there is no folder, or none that may be read
            return
        raise
    with entries:
        for entry in entries:
            yield entry
            if deep and entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path, deep)


def _is_image(entry: "os.DirEntry[str]") -> bool:
    return os.path.splitext(entry.name)[1].lower() in ENDINGS and entry.is_file()  # noqa: PTH122


@contextmanager
def _opened(path: Path, to_decode: bool = True) -> Iterator[Image.Image]:
    """The image file, opened; what Pillow says against it becomes an InputError."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > LARGEST:
                raise InputError(f"{path} claims {width}x{height} pixels; more than {LARGEST}")
            if image.format != "PNG" or not to_decode:
                yield image
                return
            image.verify()  # the checksums, which decoding passes over; then it must be opened anew
        with Image.open(path, formats=["PNG"]) as image:
            yield image
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"there is no image {path}") from None
    except Exception as error:  # a decoder each, and each fails in ways of its own
        size_on_disk = f"{path.stat().st_size} bytes" if path.is_file() else "no file"
        raise InputError(
            f"cannot read the image {path} ({size_on_disk}): {error}; mend or remove it "
            "(`skip_unreadable` leaves such files out of a data set)"
        ) from None
