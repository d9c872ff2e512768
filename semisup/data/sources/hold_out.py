"""Test images for a data set that brings none."""

from pathlib import Path

import numpy as np

from semisup.errors import InputError

# The share of each class that is held out.
TEST_SHARE = 0.2


def hold_out_test_images(labels: np.ndarray, where: Path) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images to train on and to test on, as many of each class as can be."""
    from sklearn.model_selection import train_test_split

    try:
        keep, hold_out = train_test_split(
            np.arange(len(labels)), test_size=TEST_SHARE, random_state=0, stratify=labels
        )
    except ValueError as error:
        raise InputError(
            f"{where} has no test images, and too few to hold out a fifth of each class: {error}"
        ) from None
    return np.sort(keep), np.sort(hold_out)
