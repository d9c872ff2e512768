"""MNIST-M: digits blended into colour photographs. The original, and one made here."""

import tempfile
from pathlib import Path

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.image_io import as_rgb, find_images, read_image, read_images
from semisup.data.sources.compressed import read_members_below
from semisup.data.sources.mnist import DIGITS, load_mnist, load_mnist5k, read_labels
from semisup.data.sources.pickles import images_in, labels_in, read_pickle
from semisup.errors import InputError, missing_package

# Of the photographs that scikit-image carries, those in colour.
_PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


# The pickles that people have of MNIST-M, in the order in which they are looked for.
_PICKLES = ("mnistm_data.pkl", "keras_mnistm.pkl.gz", "keras_mnistm.pkl")

# Where the photographs lie in BSDS500's archive.
_BSDS500 = "BSR/BSDS500/data/images/train"


def load_mnistm(data_dir: Path) -> Dataset:
    """The original MNIST-M from its folders of PNG files, 32x32x3 as these are, or a pickle.

    Args:
        data_dir: the folder with mnist_m_train/, mnist_m_test/, mnist_m_train_labels.txt
            and mnist_m_test_labels.txt, whose rows are a file's name and its digit. Or one
            with mnistm_data.pkl, which the authors' script made, or keras_mnistm.pkl.gz, or
            the pickle itself; if it has no labels, MNIST's two label files must lie beside it.

    Raises:
        InputError: a file is missing or damaged, or of another size than the others.
    """
    if data_dir.is_file():
        return _load_pickle(data_dir)
    for name in _PICKLES:
        if (data_dir / name).is_file():
            return _load_pickle(data_dir / name)
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
        pictures = read_images([folder / name for name, _ in rows])
        sizes = {picture.shape[:2]: name for picture, (name, _) in zip(pictures, rows, strict=True)}
        if len(sizes) > 1:
            raise InputError(f"{folder} has images of several sizes: {sizes}")
        images[split] = np.stack(pictures)
    return _dataset(images, labels)


def _load_pickle(path: Path) -> Dataset:
    """MNIST-M out of a dictionary: "train_images" and the like, or "train" without labels."""
    content = read_pickle(path)
    with_labels = "train_images" in content
    images, labels = {}, {}
    for split in ("train", "valid", "test"):
        key = f"{split}_images" if with_labels else split
        if key in content:
            images[split] = images_in(content, key, path)
            if with_labels and f"{split}_labels" in content:
                labels[split] = labels_in(content, f"{split}_labels", path)
    if not {"train", "test"} <= images.keys() or (with_labels and labels.keys() != images.keys()):
        raise InputError(
            f"{path} has {', '.join(sorted(content))}; wanted train_images, train_labels, "
            "test_images and test_labels, or train and test"
        )
    if not with_labels:
        labels = _labels_of_mnist(path, {split: len(array) for split, array in images.items()})
    if "valid" in images:
        for arrays in (images, labels):
            arrays["train"] = np.concatenate([arrays["train"], arrays["valid"]])
    return _dataset(images, labels)


def _dataset(images: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> Dataset:
    return Dataset(
        "mnistm", images["train"], labels["train"], images["test"], labels["test"], DIGITS
    )


def _labels_of_mnist(path: Path, counts: dict[str, int]) -> dict[str, np.ndarray]:
    """The labels of a pickle without any: its images are MNIST's, in the order of its files.

    Validation images, if there are some, are the first of MNIST's training images.
    """
    labels = {
        split: read_labels(path.parent, split).astype(np.int64) for split in ("train", "test")
    }
    if first := counts.get("valid", 0):
        labels |= {"valid": labels["train"][:first], "train": labels["train"][first:]}
    for split, count in counts.items():
        if len(labels[split]) != count:
            raise InputError(
                f"{path} has {count} {split} images, but MNIST's files beside it have "
                f"{len(labels[split])} labels"
            )
    return labels


def make_mnistm_bsds500(data_dir: Path) -> Dataset:
    """MNIST-M made from the files that it was made from, as the authors' script makes it.

    Each digit, white where it is not black, becomes |patch - digit| with a patch of one of
    BSDS500's 200 training photographs. Other patches than the published files have.

    Args:
        data_dir: the folder with MNIST's four files, and BSR_bsds500.tgz or its folder BSR.

    Raises:
        InputError: a file is missing or damaged.
    """
    digits, photos = load_mnist(data_dir), _photos_of_bsds500(data_dir)
    return _blended("mnistm_bsds500", digits, photos, white=True)


def _photos_of_bsds500(data_dir: Path) -> list[np.ndarray]:
    """BSDS500's training photographs, in the order of their names."""
    archive, folder = data_dir / "BSR_bsds500.tgz", data_dir / _BSDS500
    if folder.is_dir():
        photos = [as_rgb(read_image(path)) for path in find_images(folder).images]
    else:
        files = read_members_below(archive, _BSDS500, ".jpg")
        with tempfile.TemporaryDirectory() as place:
            photos = []
            for name in sorted(files):
                path = Path(place, Path(name).name)
                path.write_bytes(files[name])
                photos.append(as_rgb(read_image(path)))
    if not photos:
        raise InputError(f"there is no photograph in {folder}, nor in {archive}")
    return photos


def make_mnistm_local(data_dir: Path | None) -> Dataset:
    """MNIST-M made by the published recipe, but with scikit-image's photographs.

    A digit becomes |patch - digit|, the patch cut at random out of a random photograph,
    as for the original out of BSDS500's. Not the original: don't compare their errors.

    Args:
        data_dir: the folder with MNIST's files; None for the digits of mnist5k.
    """
    digits = load_mnist5k() if data_dir is None else load_mnist(data_dir)
    return _blended("mnistm_local", digits, _photos())


def _blended(name: str, digits: Dataset, photos: list[np.ndarray], white: bool = False) -> Dataset:
    """The digits blended with the photographs; with `white`, white where they are not black."""
    train, test = (np.asarray(images) for images in (digits.train_images, digits.test_images))
    if white:
        train, test = (np.where(images > 0, np.uint8(255), np.uint8(0)) for images in (train, test))
    train, test = blend(train, photos, seed=0), blend(test, photos, seed=1)
    return Dataset(name, train, digits.train_labels, test, digits.test_labels, DIGITS)


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
    try:
        from skimage import data
    except ImportError:
        raise missing_package("data set mnistm_local", "scikit-image") from None

    return [getattr(data, name)()[..., :3] for name in _PHOTOS]
