"""Images in, batches out: data sets by name, labelled subsets, training batches.

    from semisup import data

    digits = data.load_dataset("mnist5k")
    split = data.choose_split(digits, sup_per_class=10)
    labeled = data.LabeledData(digits, split)
    batches = data.association_batches(
        *labeled.training_images_and_labels(),
        labeled.unlabeled_images,
        augment=data.get_augmentation("digits"),
    )

The names below are loaded when they are first used: most load TensorFlow, which the list of
the data sets in `semisup.data.registry` can do without.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semisup.data.adaptation import adapted, as_rgb, resized
    from semisup.data.augmentation import get_augmentation
    from semisup.data.dataset import Dataset
    from semisup.data.labeled_data import LabeledData, PseudoLabels
    from semisup.data.lazy_images import LazyImages
    from semisup.data.pipeline import association_batches
    from semisup.data.registry import DATASETS, DatasetInfo, load_dataset
    from semisup.data.splits import Split, choose_split, read_split

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetInfo",
    "LabeledData",
    "LazyImages",
    "PseudoLabels",
    "Split",
    "adapted",
    "as_rgb",
    "association_batches",
    "choose_split",
    "get_augmentation",
    "load_dataset",
    "read_split",
    "resized",
]

_NAMES_IN = {
    "adaptation": ("adapted", "as_rgb", "resized"),
    "augmentation": ("get_augmentation",),
    "dataset": ("Dataset",),
    "labeled_data": ("LabeledData", "PseudoLabels"),
    "lazy_images": ("LazyImages",),
    "pipeline": ("association_batches",),
    "registry": ("DATASETS", "DatasetInfo", "load_dataset"),
    "splits": ("Split", "choose_split", "read_split"),
}
_MODULE_OF = {name: module for module, names in _NAMES_IN.items() for name in names}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
