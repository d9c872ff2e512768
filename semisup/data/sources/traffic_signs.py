"""Traffic signs of 43 classes, 40x40x3 as the authors had them: GTSRB and synthetic ones."""

import csv
import math
from pathlib import Path

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.image_io import Box, as_rgb, on_all_cores, read_header, read_image, read_images
from semisup.data.sources.pickles import images_in, labels_in, read_pickle
from semisup.errors import InputError

CLASSES = tuple(f"sign {n:02d}" for n in range(43))
SIZE = 40

# A sign: its file, the region it takes up, and the width and height that the region is stated for.
_Annotated = tuple[Path, Box, tuple[int, int]]

# Of the synthetic signs, which have no test images, this share is held out.
_SYNTH_TEST_SHARE = 0.1


def load_gtsrb(data_dir: Path) -> Dataset:
    """GTSRB: each sign cut out by its region of interest and resized to 40x40.

    Public copies have images of another size beside the original tables: where a table's width
    and height are not those of the file, the region is scaled.

    Args:
        data_dir: the folder GTSRB, with Final_Training/Images/00000/GT-00000.csv and
            the like, and Final_Test/Images/GT-final_test.csv (the one with class ids); or
            one with gtsrb_train.p and gtsrb_test.p, the authors' pickles.

    Raises:
        InputError: a file is missing or damaged.
    """
    if (data_dir / "gtsrb_train.p").exists():
        return _load_pickles("gtsrb", data_dir)
    train = [
        _read_annotated(data_dir / "Final_Training/Images" / f"{c:05d}" / f"GT-{c:05d}.csv")
        for c in range(len(CLASSES))
    ]
    images, labels = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
    test = _read_annotated(data_dir / "Final_Test/Images/GT-final_test.csv")
    return Dataset("gtsrb", images, labels, *test, CLASSES)


def load_synth_signs(data_dir: Path) -> Dataset:
    """The synthetic signs of Moiseev et al., resized to 40x40; a tenth is held out to test.

    Args:
        data_dir: the folder with train_labelling.txt, whose rows begin with the path of
            an image and its class; or one with synth_signs_train.p and synth_signs_test.p,
            the authors' pickles, which have a split of their own.

    Raises:
        InputError: a file is missing or damaged.
    """
    if (data_dir / "synth_signs_train.p").exists():
        return _load_pickles("synth_signs", data_dir)
    from sklearn.model_selection import train_test_split

    path = data_dir / "train_labelling.txt"
    rows = [(row[0], row[1]) for row in _rows(path, " ", 2)]
    labels = _classes([label for _, label in rows], path)
    images = np.stack(read_images([data_dir / name for name, _ in rows], SIZE))
    if len(rows) < 2:
        raise InputError(
            f"{path} names {len(rows)} image; at least two are needed, to hold out test images"
        )
    parts = train_test_split(images, labels, test_size=_SYNTH_TEST_SHARE, random_state=0)
    train_images, test_images, train_labels, test_labels = parts
    return Dataset("synth_signs", train_images, train_labels, test_images, test_labels, CLASSES)


def _load_pickles(name: str, data_dir: Path) -> Dataset:
    """Signs as the authors pickled them: "images", 40x40x3, and "labels"."""

    def read(split: str) -> tuple[np.ndarray, np.ndarray]:
        path = data_dir / f"{name}_{split}.p"
        content = read_pickle(path)
        if not {"images", "labels"} <= content.keys():
            raise InputError(
                f"{path} must have images and labels, but has {', '.join(sorted(content))}"
            )
        return images_in(content, "images", path), labels_in(content, "labels", path)

    return Dataset(name, *read("train"), *read("test"), CLASSES)


def _read_annotated(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images and classes of a GTSRB table: file;width;height;x1;y1;x2;y2;class."""
    boxes: list[_Annotated] = []
    labels = []
    for row in _rows(path, ";", 8)[1:]:
        try:
            width, height, left, upper, right, lower = (int(number) for number in row[1:7])
        except ValueError:
            raise InputError(f"{path} is damaged: {row[:8]} has no region of interest") from None
        if not (0 <= left < right <= width and 0 <= upper < lower <= height):
            raise InputError(f"{path} is damaged: {row[:8]} has a region outside the image")
        boxes.append((path.parent / row[0], (left, upper, right, lower), (width, height)))
        labels.append(row[7])
    if not boxes:
        raise InputError(f"{path} names no image")
    signs = on_all_cores(_read_sign, boxes, description="reading images")
    return np.stack(list(signs)), _classes(labels, path)


def _read_sign(annotated: _Annotated) -> np.ndarray:
    file, box, stated = annotated
    return as_rgb(read_image(file, SIZE, _scaled(box, stated, file)))


def _scaled(box: Box, stated: tuple[int, int], file: Path) -> Box:
    """A region of an image of the stated width and height, in the file as it is."""
    height, width = read_header(file)[:2]
    if (width, height) == stated:
        return box
    across, down = width / stated[0], height / stated[1]
    # Outwards, so that nothing of the sign is lost and the region is never empty.
    left, upper = math.floor(box[0] * across), math.floor(box[1] * down)
    return left, upper, math.ceil(box[2] * across), math.ceil(box[3] * down)


def _rows(path: Path, delimiter: str, columns: int) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file, delimiter=delimiter) if row]
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"there is no file {path}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is damaged: {error}") from None
    short = [row for row in rows if len(row) < columns]
    if short or not rows:
        raise InputError(
            f"{path} has no rows of {columns} columns separated by {delimiter!r}: {short[:1]}"
        )
    return rows


def _classes(words: list[str], path: Path) -> np.ndarray:
    try:
        return np.array([int(word) for word in words], np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path} is damaged: {error}") from None
