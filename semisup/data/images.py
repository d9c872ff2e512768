"""Image files: found in folders, decoded with Pillow, never trusted."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from semisup.errors import InputError

ENDINGS = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".webp"))

# Larger pictures are refused before they are decoded: a file of a few bytes can
# claim any size. 50 million pixels are 150 MB.
LARGEST = 50_000_000

Box = tuple[int, int, int, int]


def find_images(folder: Path, deep: bool = False) -> list[Path]:
    """The image files in a folder, in the order of their names.

    Args:
        folder: where.
        deep: also in the folders below it.
    """
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(path for path in found if path.suffix.lower() in ENDINGS and path.is_file())


def read_image(path: Path, size: int = 0, box: Box | None = None) -> np.ndarray:
    """Decode one image file.

    Args:
        path: the file.
        size: if above 0, resize to this height and width (bilinear).
        box: cut out (left, upper, right, lower) first.

    Returns:
        uint8 [H, W, 1] if the file is grey, else [H, W, 3].

    Raises:
        InputError: the file is missing, empty, no image, damaged or absurdly large.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > LARGEST:
                raise InputError(f"{path} claims {width}x{height} pixels; more than {LARGEST}")
            image = image.convert("L" if image.mode in ("1", "L", "I;16") else "RGB")
            if box is not None:
                image = image.crop(box)
            if size > 0:
                image = image.resize((size, size), Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"there is no image {path}") from None
    except Exception as error:  # a decoder each, and each fails in ways of its own
        size_on_disk = path.stat().st_size
        raise InputError(
            f"cannot read the image {path} ({size_on_disk} bytes): {error}; mend or remove it, or "
            "pass --skip_unreadable"
        ) from None
    return pixels.reshape(*pixels.shape[:2], -1)


def stack(images: Iterable[np.ndarray], what: str) -> np.ndarray:
    """Images of one size as one array; grey ones become RGB if any is RGB.

    Args:
        images: uint8 [H, W, 1 or 3] each.
        what: names them in the error.

    Returns:
        uint8 [N, H, W, C].

    Raises:
        InputError: they differ in size.
    """
    images = list(images)
    sizes = {image.shape[:2] for image in images}
    if len(sizes) > 1:
        (h1, w1), (h2, w2) = sorted(sizes)[0], sorted(sizes)[-1]
        raise InputError(
            f"{what} differ in size, from {h1}x{w1} to {h2}x{w2} pixels; --new_size=N makes "
            "them all NxN"
        )
    if any(image.shape[2] == 3 for image in images):
        images = [as_rgb(image) for image in images]
    return np.stack(images)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """An image [H, W, 1 or 3] as [H, W, 3]; a grey one has its channel three times."""
    return np.broadcast_to(image, (*image.shape[:2], 3))
