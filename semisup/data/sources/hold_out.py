"""Hold out test images of a data set that has none."""

import numpy as np

# The share of each class that is held out.
TEST_SHARE = 0.2


def hold_out_test_images(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose the images to train on and to test on, as many of each class as can be.

    Of each class with two images or more at least one is held out; of a class with one none,
    for it must be learned from. So there may be no test images at all.

    Args:
        labels: classes [N].

    Returns:
        Indices of the images to train on, and of those held out, ascending.
    """
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(labels))
    classes = np.unique(labels)
    try:
        keep, hold_out = train_test_split(
            everything, test_size=TEST_SHARE, random_state=0, stratify=labels
        )
        if len(np.unique(labels[hold_out])) == len(np.unique(labels[keep])) == len(classes):
            return np.sort(keep), np.sort(hold_out)
    except ValueError:
        pass  # a class with one image, or fewer to hold out than there are classes
    random = np.random.default_rng(0)
    chosen: list[int] = []
    for label in classes:
        of_class = random.permutation(np.flatnonzero(labels == label))
        wanted = max(1, round(TEST_SHARE * len(of_class))) if len(of_class) > 1 else 0
        chosen += of_class[:wanted].tolist()
    hold_out = np.sort(np.array(chosen, np.int64))
    return np.setdiff1d(everything, hold_out), hold_out
