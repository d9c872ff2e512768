"""MNIST-M: digits blended into colour photographs. The original, and one made here."""

from pathlib import Path

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.image_io import as_rgb, read_image
from semisup.data.sources.mnist import DIGITS, load_mnist, load_mnist5k
from semisup.errors import InputError

# Of the photographs that scikit-image carries, those in colour.
_PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def load_mnistm(data_dir: Path) -> Dataset:
    """The original MNIST-M from its folders of PNG files, 32x32x3 as these are.

    Args:
        data_dir: the folder with mnist_m_train/, mnist_m_test/, mnist_m_train_labels.txt
            and mnist_m_test_labels.txt, whose rows are a file's name and its digit.

    Raises:
        InputError: a file is missing or damaged, or of another size than the others.
    """
    images, labels = {}, {}
    for split in ("train", "test"):
        path = data_dir / f"mnist_m_{split}_labels.txt"
        try:
            rows = [line.split() for line in path.read_text(encoding="ascii").splitlines() if line]
            labels[split] = np.array([int(digit) for _, digit in rows], np.int64)
        except FileNotFoundError:
            raise InputError(f"there is no file {path}") from None
        except (ValueError, OverflowError) as error:
            raise InputError(f"{path} is damaged: {error}") from None
        if not rows:
            raise InputError(f"{path} names no image")
        folder = data_dir / f"mnist_m_{split}"
        pictures = [as_rgb(read_image(folder / name)) for name, _ in rows]
        sizes = {picture.shape[:2]: name for picture, (name, _) in zip(pictures, rows, strict=True)}
        if len(sizes) > 1:
            raise InputError(f"{folder} has images of several sizes: {sizes}")
        images[split] = np.stack(pictures)
    return Dataset(
        "mnistm", images["train"], labels["train"], images["test"], labels["test"], DIGITS
    )


def make_mnistm_local(data_dir: Path | None) -> Dataset:
    """MNIST-M made by the published recipe, but with scikit-image's photographs.

    A digit becomes |patch - digit|, the patch cut at random out of a random photograph,
    as for the original out of BSDS500's. Not the original: don't compare their errors.

    Args:
        data_dir: the folder with MNIST's files; None for the digits of mnist5k.
    """
    digits = load_mnist5k() if data_dir is None else load_mnist(data_dir)
    photos = _photos()
    return Dataset(
        "mnistm_local",
        blend(np.asarray(digits.train_images), photos, seed=0),
        digits.train_labels,
        blend(np.asarray(digits.test_images), photos, seed=1),
        digits.test_labels,
        DIGITS,
    )


def blend(digits: np.ndarray, photos: list[np.ndarray], seed: int) -> np.ndarray:
    """|patch - digit| for each digit, each with a random patch of a random photograph.

    Args:
        digits: uint8 [N, H, W, 1].
        photos: uint8 [h, w, 3] each, no smaller than a digit.
        seed: names the patches.

    Returns:
        uint8 [N, H, W, 3].
    """
    random = np.random.default_rng(seed)
    count, height, width, _ = digits.shape
    which: np.ndarray = random.integers(len(photos), size=(count,))
    blended = np.empty((count, height, width, 3), np.uint8)
    for i, photo in enumerate(photos[w] for w in which):
        top = random.integers(photo.shape[0] - height + 1)
        left = random.integers(photo.shape[1] - width + 1)
        patch = photo[top : top + height, left : left + width].astype(np.int16)
        blended[i] = np.abs(patch - digits[i])
    return blended


def _photos() -> list[np.ndarray]:
    from skimage import data

    return [getattr(data, name)()[..., :3] for name in _PHOTOS]
