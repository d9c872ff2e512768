"""Augmentation of whole batches of images by stateless TensorFlow graph operations.

    from semisup.data.augmentation import get_augmentation

    augment = get_augmentation("photos")
    changed = augment(images, [seed, step])                 uint8 [batch, H, W, C]

The ops in `geometry`, `colour` and `rand_augment` take the parameters of the change, one for each
image; `by_name` draws them from a seed. The same seed gives the same bytes, in any process and at
any parallelism. Images are uint8 or float [batch, H, W, C] in [0, 255]; the ops compute in float32.
"""

from semisup.data.augmentation.by_name import (
    AUGMENTATIONS,
    LABELED_ONLY,
    Augmentation,
    check_channels,
    get_augmentation,
)

__all__ = ["AUGMENTATIONS", "LABELED_ONLY", "Augmentation", "check_channels", "get_augmentation"]
