"""Image files decoded with Pillow, never trusted.

A camera that was turned stores its picture as the sensor saw it, and how it was held beside
that (EXIF). All that is read here is the right way up. What is transparent shows white, the
colour of paper.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from absl import logging
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from semisup.data.image_io import formats, values
from semisup.data.image_io.values import ValueRange
from semisup.data.registry import MAX_MEGAPIXELS
from semisup.errors import InputError

_MILLION = 1_000_000

# Pillow warns of half its limit; ours is checked below.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

# Pixels of an image that is decoded alone, or smaller where its format can do that: 150 MB.
_LARGE = 50_000_000
_one_large_image = threading.Lock()

# A tag of TIFF files, and the bit of its value that says that a page is the first one, smaller.
_NEW_SUBFILE_TYPE, _SMALLER = 254, 1

# Where all pixels are below this, little is seen.
_DARK = 16

# Of a picture that lies on its side: height and width change places.
_ON_ITS_SIDE = (5, 6, 7, 8)

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Reading:
    """How the images of a set are read: all alike, in training and in prediction.

    Attributes:
        values_in: of images with more than 8 bits a value, which is black and which white; None
            where the set has no such images, and one is an error.
        max_megapixels: larger images are refused before they are decoded, in millions of
            pixels: a file of a few bytes can claim any size.
        assumed: whether `values_in` is a guess: no image of the set has more than 8 bits, or no set
            is known.
    """

    values_in: ValueRange | None = values.FULL
    max_megapixels: int = MAX_MEGAPIXELS
    assumed: bool = False


AS_USUAL = Reading(assumed=True)


def read_header(path: Path, how: Reading = AS_USUAL) -> tuple[int, int, int, bool]:
    """(height, width, channels, many) of an image file, without decoding it.

    There is 1 channel if it is grey; `many` says whether a value has more than 8 bits.

    Raises:
        InputError: the file is missing, empty, no image or too large.
    """
    with _opened(path, how, to_decode=False) as image:
        height, width = image.height, image.width
        if _orientation(image) in _ON_ITS_SIDE:
            height, width = width, height
        channels = 1 if values.is_grey(image) else 3
        return height, width, channels, values.has_many_bits(image)


def read_image(
    path: Path, size: int = 0, box: Box | None = None, how: Reading = AS_USUAL
) -> np.ndarray:
    """Decode one image file.

    Args:
        path: the file.
        size: if above 0, resize to this height and width (bilinear).
        box: cut out (left, upper, right, lower) first, of the image the right way up.
        how: as the images of its set are read.

    Returns:
        uint8 [H, W, 1] if the file is grey, else [H, W, 3].

    Raises:
        InputError: the file is missing, empty, no image, damaged or too large, or the box
            reaches out of it.
    """
    with _opened(path, how) as file:
        if size > 0 and box is None:
            _decode_smaller(file, size)
        image = _decoded(file, values.is_grey(file), how)
        if box is not None:
            left, upper, right, lower = box
            if not (0 <= left < right <= image.width and 0 <= upper < lower <= image.height):
                raise InputError(f"{path} has no region {box}: it is {image.width}x{image.height}")
            image = image.crop(box)
        if size > 0:
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)


def read_image_as(
    path: Path, image_shape: tuple[int, int, int], how: Reading = AS_USUAL
) -> np.ndarray:
    """Decode one image file and bring it to the shape that a network takes.

    A file that has the pixels of a training image gives that training image.

    Args:
        path: the file, of any size, grey or in colour.
        image_shape: (H, W, C) wanted, C being 1 (grey) or 3 (RGB).
        how: as the images that the network was trained on were read.

    Returns:
        uint8 [H, W, C].

    Raises:
        InputError: as `read_image`.
    """
    with _opened(path, how) as image:
        _decode_smaller(image, max(image_shape[:2]))
        many = values.has_many_bits(image)
        grey = values.is_grey(image) or image_shape[2] == 1
        pixels = _shaped(_decoded(image, grey, how), image_shape)
    if many:
        _warn_of_other_range(path, pixels, how)
    return pixels


def _warn_of_other_range(path: Path, pixels: np.ndarray, how: Reading) -> None:
    """Warn if a file's values seem not to be those of the range of the training images."""
    # Values that are taken for 16 bits may be the 12 or 14 of a camera.
    dark = values.FEW_LEVELS if how.assumed else _DARK
    if pixels.max() < dark or pixels.min() == 255:
        become = f"at most {pixels.max()}" if pixels.max() < dark else "255"
        logging.log_first_n(
            logging.WARNING,
            f"{path} has values with more than 8 bits, and all of them become {become} of 255: "
            "they seem not to have the range of values of the training images",
            n=3,
        )


def read_values(path: Path, how: Reading) -> values.Statistics:
    """The values of an image file with more than 8 bits each, as they are in the file.

    Raises:
        InputError: as `read_image`.
    """
    with _opened(path, how) as image:
        return values.statistics(values.read_many_bits(image)[0])


def shaped(pixels: np.ndarray, image_shape: tuple[int, int, int]) -> np.ndarray:
    """An image, uint8 [H, W, 1 or 3], resized and made grey or RGB, as `read_image_as` does."""
    if pixels.shape == image_shape:
        return pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return _shaped(image.convert("L") if image_shape[2] == 1 else image, image_shape)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Images [..., H, W, 1 or 3] as [..., H, W, 3]; grey ones have their channel three times."""
    return image if image.shape[-1] == 3 else np.repeat(image, 3, axis=-1)


def _shaped(image: Image.Image, image_shape: tuple[int, int, int]) -> np.ndarray:
    height, width, channels = image_shape
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image).reshape(height, width, -1)
    return as_rgb(pixels) if channels == 3 else pixels


def _decode_smaller(image: ImageFile.ImageFile, size: int) -> None:
    """Have a large JPEG file decoded at a half, a quarter or an eighth of its sides."""
    if image.width * image.height > _LARGE:
        image.draft(image.mode, (2 * size, 2 * size))  # of other formats nothing happens


def _decoded(file: ImageFile.ImageFile, grey: bool, how: Reading) -> Image.Image:
    """The right way up, opaque, in one channel or as RGB."""
    turn = values.TURNS.get(_orientation(file))
    image: Image.Image = file
    if values.has_many_bits(file):
        image = _of_many_bits(file, how)
    else:
        image.load()
    if turn is not None:
        image = image.transpose(turn)
    if image.has_transparency_data:
        image = _on_white(image)
    mode = "L" if grey else "RGB"
    return image if image.mode == mode else image.convert(mode)  # which would copy it


def _of_many_bits(image: ImageFile.ImageFile, how: Reading) -> Image.Image:
    if how.values_in is None:
        raise ValueError("its values have more than 8 bits, unlike those of the other images")
    whole_numbers = image.mode != "F" and (image.mode != "I" or image.format == "PPM")
    if how.assumed and not whole_numbers:
        raise ValueError("its pixels have 32 bits each, of a range that is not known")
    pixels, opacity = values.read_many_bits(image)
    result = Image.fromarray(values.as_bytes(pixels, how.values_in))
    if opacity is not None:
        result.putalpha(Image.fromarray(np.round(255 * opacity).astype(np.uint8)))
    return result


def _on_white(image: Image.Image) -> Image.Image:
    """The image as it looks on paper."""
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return white.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF tag that says how the camera was held; 1 if upright, or not said."""
    if image.format == "TIFF":
        return 1  # Pillow turns these by itself
    with suppress(Exception):  # damaged EXIF is no reason to refuse the pixels
        # Not image.getexif(), which decodes a PNG to look for a tag behind its pixels.
        return Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    return 1


@contextmanager
def _opened(path: Path, how: Reading, to_decode: bool = True) -> Iterator[ImageFile.ImageFile]:
    """The image file, opened; what Pillow says against it becomes an InputError."""
    limit = how.max_megapixels * _MILLION
    if Image.MAX_IMAGE_PIXELS is not None and limit > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = limit // 2 + 1  # asked for: Pillow refuses twice as many
    try:
        # Not by its name: Pillow would map a TIFF file into memory, with the wrong stride where
        # its orientation exchanges height and width.
        with (
            path.open("rb") as content,
            Image.open(content, formats=formats.candidates(path.suffix)) as image,
        ):
            pixels = image.width * image.height
            if pixels > limit:
                raise _too_large(path, f"{image.width}x{image.height} pixels", how)
            values.refuse_unsupported(image)
            _warn_of_pages(image, path)
            with _one_large_image if pixels > _LARGE and to_decode else nullcontext():
                if image.format != "PNG" or not to_decode:
                    yield image
                    return
                image.verify()  # the checksums, which decoding passes over; then opened anew
                content.seek(0)
                with Image.open(content, formats=["PNG"]) as again:
                    yield again
    except (InputError, MemoryError):
        raise
    except FileNotFoundError:
        raise InputError(f"there is no image {path}") from None
    except Image.DecompressionBombError:
        raise _too_large(path, "more pixels than Pillow allows", how) from None
    except UnidentifiedImageError:
        raise _unreadable(path, "it is no image of a known format") from None
    except Exception as error:  # a decoder each, and each fails in ways of its own
        raise _unreadable(path, str(error)) from None


def _warn_of_pages(image: ImageFile.ImageFile, path: Path) -> None:
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or not image.tag_v2.next:
        return
    with suppress(Exception), path.open("rb") as content:
        other = TiffImagePlugin.TiffImageFile(content)
        other.seek(1)
        if other.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & _SMALLER:  # a thumbnail
            return
    logging.log_first_n(
        logging.WARNING, f"{path} has several pages, of which only the first is read", n=3
    )


def _unreadable(path: Path, why: str) -> InputError:
    size_on_disk = "no file"
    with suppress(OSError, ValueError):  # a network drive that is gone, a name with a NUL
        size_on_disk = f"{path.stat().st_size} bytes"
    plugin = formats.missing_plugin(path.suffix)
    hint = f"`pip install {plugin}` lets such files be read" if plugin else "mend or remove it"
    return InputError(
        f"cannot read the image {path} ({size_on_disk}): {why}; {hint} "
        "(`skip_unreadable` leaves such files out of a data set)"
    )


def _too_large(path: Path, claimed: str, how: Reading) -> InputError:
    return InputError(
        f"{path} claims {claimed}, more than {how.max_megapixels} million; make it smaller, or "
        "allow more with `max_megapixels=N`"
    )
