"""TensorBoard's projector page: embeddings in space, each shown as its image."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector import ProjectorConfig

from semisup.data.image_io import as_rgb, shaped
from semisup.evaluation.metrics import predict
from semisup.experiment import Experiment
from semisup.runs import directory, files

FOLDER, CONFIG = directory.PROJECTOR, directory.PROJECTOR_CONFIG

# Of the labelled and of the test images, this many at most: the page runs in a browser.
_IMAGES = 1000

_AT_ONCE = 100  # images, which bounds the memory

# The page takes one picture of all thumbnails, of at most 8192 x 8192 pixels.
_SIDE = 40


def write(logdir: Path, setup: Experiment) -> None:
    """Write what the projector page shows into the folder of a run.

    Labelled and test images with their embeddings, class names, predicted classes and
    thumbnails.

    Args:
        logdir: the run's folder.
        setup: the experiment, its model trained.
    """
    dataset, split = setup.dataset, setup.split
    random = np.random.default_rng(0)
    labeled = random.permutation(split.labeled)[:_IMAGES]
    test = random.permutation(len(dataset.test_labels))[:_IMAGES]
    labels = np.concatenate([dataset.train_labels[labeled], dataset.test_labels[test]])
    side = min(_SIDE, max(dataset.image_shape[:2]))
    embeddings, logits, thumbnails = [], [], []
    for images, chosen in ((dataset.train_images, labeled), (dataset.test_images, test)):
        for i in range(0, len(chosen), _AT_ONCE):
            pixels = np.asarray(images[chosen[i : i + _AT_ONCE]])
            outputs = predict(setup.model, pixels)
            embeddings.append(outputs.embeddings)
            logits.append(outputs.logits)
            thumbnails += [as_rgb(shaped(x, (side, side, x.shape[2]))) for x in pixels]
    predicted = np.concatenate(logits).argmax(axis=1)
    sets = ["labelled"] * len(labeled) + ["test"] * len(test)

    folder = logdir / FOLDER
    folder.mkdir(exist_ok=True)
    with files.whole(folder / "embeddings.tsv") as temporary:
        np.savetxt(temporary, np.concatenate(embeddings), fmt="%.5g", delimiter="\t")
    names = dataset.class_names
    rows = [(names[y], names[p], s) for y, p, s in zip(labels, predicted, sets, strict=True)]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter="\t").writerows([("class", "predicted", "set"), *rows])
    files.write_text(folder / "metadata.tsv", text.getvalue())
    with files.whole(folder / "thumbnails.png") as temporary:
        _sprite(thumbnails).save(temporary)

    config = ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = "embedding"
    embedding.tensor_path = f"{FOLDER}/embeddings.tsv"
    embedding.metadata_path = f"{FOLDER}/metadata.tsv"
    embedding.sprite.image_path = f"{FOLDER}/thumbnails.png"
    embedding.sprite.single_image_dim.extend([side, side])
    # Last, so that a run killed in between shows no page rather than half of one.
    files.write_text(logdir / CONFIG, text_format.MessageToString(config))


def _sprite(thumbnails: Sequence[np.ndarray]) -> Image.Image:
    """All thumbnails [side, side, 3] in rows, as many in a row as there are rows."""
    columns, side = int(np.ceil(np.sqrt(len(thumbnails)))), len(thumbnails[0])
    sheet = np.zeros((columns * side, columns * side, 3), np.uint8)
    for i, thumbnail in enumerate(thumbnails):
        top, left = (side * place for place in divmod(i, columns))
        sheet[top : top + side, left : left + side] = thumbnail
    return Image.fromarray(sheet)
