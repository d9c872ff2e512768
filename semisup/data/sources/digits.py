"""Digits in other hands: SVHN, synthetic digits in its format, USPS."""

from pathlib import Path

import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.sources.formats import read_mat_digits, read_usps
from semisup.data.sources.mnist import DIGITS


def load_svhn(data_dir: Path) -> Dataset:
    """SVHN's cropped digits, 32x32x3, from train_32x32.mat and test_32x32.mat."""
    return _load_mat("svhn", data_dir, ("train_32x32.mat",), "test_32x32.mat")


def load_svhn_extra(data_dir: Path) -> Dataset:
    """SVHN with the easier digits of extra_32x32.mat added to the training images."""
    train = ("train_32x32.mat", "extra_32x32.mat")
    return _load_mat("svhn_extra", data_dir, train, "test_32x32.mat")


def load_synth(data_dir: Path) -> Dataset:
    """The synthetic digits of Ganin and Lempitsky, 32x32x3, from their .mat files."""
    return _load_mat("synth", data_dir, ("synth_train_32x32.mat",), "synth_test_32x32.mat")


def load_usps(data_dir: Path) -> Dataset:
    """USPS, 16x16x1: 7,291 digits to train on and 2,007 to test on."""
    train_images, train_labels = read_usps(data_dir / "zip.train.gz")
    test_images, test_labels = read_usps(data_dir / "zip.test.gz")
    return Dataset("usps", train_images, train_labels, test_images, test_labels, DIGITS)


def _load_mat(name: str, data_dir: Path, train: tuple[str, ...], test: str) -> Dataset:
    parts = [read_mat_digits(data_dir / file) for file in train]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Dataset(name, images, labels, *read_mat_digits(data_dir / test), DIGITS)
