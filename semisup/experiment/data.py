"""The data set of a recipe."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging

from semisup.config import Recipe
from semisup.data import adaptation, lazy_images, npz, registry
from semisup.data.dataset import Dataset, evenly_spaced
from semisup.data.fingerprint import common_folder
from semisup.errors import InputError
from semisup.experiment import settings
from semisup.models import features
from semisup.runs.directory import RunDirectory


def load_data(recipe: Recipe) -> Dataset:
    """The recipe's data set; with a target, its unlabelled and test images instead.

    Raises:
        InputError: a `target_data_dir` without a target; or as `load_dataset` and `adapted`.
    """
    if recipe.target_data_dir is not None and recipe.target_dataset is None:
        raise InputError("`target_data_dir` is given without a target; add `target_dataset=NAME`")
    options: dict[str, Any] = {
        "new_size": recipe.new_size,
        "skip_unreadable": recipe.skip_unreadable,
        "max_megapixels": recipe.max_megapixels,
        # Where the cache has their features, only the few that are drawn are ever resized.
        "resize_lazily": settings.uses_features(recipe),
    }
    source = _loaded(recipe, recipe.dataset, recipe.data_dir, options)
    if recipe.target_dataset is None:
        return dataclasses.replace(source, train_in_pool=recipe.train_in_pool)
    try:
        target = _loaded(recipe, recipe.target_dataset, recipe.target_data_dir, options)
    except InputError as error:  # of a function that loads any set
        raise InputError(str(error).replace("`data_dir", "`target_data_dir")) from None
    target = dataclasses.replace(target, train_in_pool=recipe.train_in_pool)
    return adaptation.adapted(source, target)


def _loaded(recipe: Recipe, name: str, data_dir: str | None, options: dict[str, Any]) -> Dataset:
    """One data set, resized as the recipe says."""
    if not resizes_as_tensorflow_1(recipe, name):
        return registry.load_dataset(name, data_dir, **options)
    dataset = registry.load_dataset(name, data_dir, **{**options, "new_size": 0})
    return adaptation.resized_as_tensorflow_1(dataset, recipe.new_size)


def resizes_as_tensorflow_1(recipe: Recipe, name: str) -> bool:
    """Whether images of the data set `name` are resized as in the authors' code.

    Not those of folders and .npz files, which are resized as they are read.
    """
    return recipe.new_size > 0 and settings.as_authors(recipe) and not registry.is_own(name)


def to_evaluate_on(dataset: Dataset, count: int) -> Dataset:
    """The data set with `count` of its test images, of each class in proportion; 0 for all."""
    labels = dataset.test_labels
    if count == 0 or count >= len(labels):
        return dataset
    by_class = np.argsort(labels, kind="stable")
    chosen = np.sort(by_class[evenly_spaced(len(labels), count)])
    images = dataset.test_images[chosen]
    return dataclasses.replace(dataset, test_images=images, test_labels=labels[chosen])


def with_features(dataset: Dataset, backbone: keras.Model) -> Dataset:
    """The data set whose images bring their features."""
    cache = features.default_cache()
    kinds = {"train_images": "training", "test_images": "test", "unlabeled_images": "unlabelled"}
    changes: dict[str, Any] = {}
    for name, kind in kinds.items():
        images = getattr(dataset, name)
        if images is not None:
            extracted = features.extract(backbone, images, cache, f"{kind} images")
            changes[name] = lazy_images.with_features(images, extracted)
    return dataclasses.replace(dataset, **changes)


def warn_of_known_test_images(run: RunDirectory, dataset: Dataset) -> None:
    """Log a warning if labelled images of an earlier run are test images now.

    Without a folder of test images, others are held out when images are added.

    Args:
        run: whose weights or pseudo-labels this run begins with.
        dataset: the data of this run.
    """
    if dataset.train_files is None or not run.labeled.is_file():
        return
    theirs = set(npz.read_npz(run.labeled, ["names"]).get("names", ()))
    ours = set(map(str, dataset.train_files))
    folder, known = Path(common_folder(ours)), sorted(theirs - ours)
    # Those of another data set lie elsewhere.
    known = [name for name in known if folder in Path(name).parents and Path(name).is_file()]
    if known:
        logging.warning(
            f"{len(known)} images with whose labels the run in {run} was trained are no longer "
            f"training images, such as {known[0]}: they may be test images now, and the error then "
            "is too low; put test images into a folder test/, and train that run again"
        )


def compare_classes(run: RunDirectory, dataset: Dataset) -> None:
    """Refuse the classes of `init_from` in another order; warn of classes with other names."""
    theirs, ours = run.read_class_names(), dataset.class_names
    if len(theirs) != len(ours):  # no weights fit
        return
    found = adaptation.compare_class_names(theirs, ours)
    if found is None:
        return
    if found.reordered:
        raise InputError(
            f"the run in {run} has the classes of {dataset.name} in another order; rename them so "
            "that both come in one order, or leave out `init_from`"
        )
    logging.warning(
        f"the classes of the run in {run} have other names than those of {dataset.name}: class "
        f"{found.first} is {theirs[found.first]!r} there, {ours[found.first]!r} here; the "
        "classifier begins with its weights in their order"
    )
