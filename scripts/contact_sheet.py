"""Draw what an augmentation does: each row an image as it is, then changed at random.

    .venv/bin/python scripts/contact_sheet.py --augmentation=svhn --dataset=synth_digits \\
        --out=docs/augmentation_svhn.png
"""

from absl import flags

from semisup.cli.app import load_tensorflow, run_main
from semisup.errors import InputError
from semisup.runtime.paths import expanded

_AUGMENTATION = flags.DEFINE_string(
    "augmentation", "digits", "augmentation to show; semisup-train --help lists the names"
)
_DATASET = flags.DEFINE_string("dataset", "mnist5k", "data set to take images from")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "folder with the data set's files")
_OUT = flags.DEFINE_string("out", "contact_sheet.png", "PNG file to write")
_ROWS = flags.DEFINE_integer("rows", 5, "number of images, each of another class", lower_bound=1)
_COLUMNS = flags.DEFINE_integer(
    "columns", 10, "number of augmented copies of each image", lower_bound=1
)


def main() -> None:
    load_tensorflow()
    import numpy as np
    from PIL import Image

    from semisup.data.augmentation import check_channels, get_augmentation
    from semisup.data.registry import load_dataset
    from semisup.runs import files
    from semisup.visualization.plots import montage

    augment = get_augmentation(_AUGMENTATION.value)
    if augment is None:
        raise InputError("--augmentation=none changes nothing; there is nothing to draw")
    out = expanded(_OUT.value)
    if out.suffix != ".png":
        raise InputError(f"--out={_OUT.value} must end in .png")
    dataset = load_dataset(_DATASET.value, _DATA_DIR.value)
    check_channels(_AUGMENTATION.value, dataset.image_shape[2])
    classes = np.unique(dataset.train_labels)[: _ROWS.value]
    images = np.stack([dataset.train_images[dataset.train_labels == c][0] for c in classes])
    changed = [images] + [augment(images, [0, i]).numpy() for i in range(_COLUMNS.value)]
    rows = np.stack(changed, axis=1)
    sheet = montage(rows.reshape(-1, *rows.shape[2:]), columns=rows.shape[1], gap=2)
    picture = Image.fromarray(sheet.squeeze())
    scale = max(1, 1200 // picture.width)
    picture = picture.resize(
        (picture.width * scale, picture.height * scale), Image.Resampling.NEAREST
    )
    with files.whole(out) as temporary:
        picture.save(temporary, format="png", optimize=True)
    print(f"wrote {out}")


if __name__ == "__main__":
    run_main(main, __doc__)
