"""TensorBoard's projector page: embeddings in space, each shown as its image."""

import csv
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector import ProjectorConfig

from semisup.data.images import as_rgb, shaped
from semisup.evaluation import predict
from semisup.experiment import Experiment

FOLDER, CONFIG = "projector", "projector_config.pbtxt"

# Of the labelled and of the test images, this many at most: the page runs in a browser.
_IMAGES = 1000

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
    images = np.concatenate([dataset.train_images[labeled], dataset.test_images[test]])
    labels = np.concatenate([dataset.train_labels[labeled], dataset.test_labels[test]])
    outputs = predict(setup.model, images)
    predicted = outputs["logits"].argmax(axis=1)
    sets = ["labelled"] * len(labeled) + ["test"] * len(test)

    folder = logdir / FOLDER
    folder.mkdir(exist_ok=True)
    np.savetxt(folder / "embeddings.tsv", outputs["embedding"], fmt="%.5g", delimiter="\t")
    names = dataset.class_names
    rows = [(names[y], names[p], s) for y, p, s in zip(labels, predicted, sets, strict=True)]
    with (folder / "metadata.tsv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerows([("class", "predicted", "set"), *rows])
    side = min(_SIDE, max(dataset.image_shape[:2]))
    _sprite(images, side).save(folder / "thumbnails.png")

    config = ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = "embedding"
    embedding.tensor_path = f"{FOLDER}/embeddings.tsv"
    embedding.metadata_path = f"{FOLDER}/metadata.tsv"
    embedding.sprite.image_path = f"{FOLDER}/thumbnails.png"
    embedding.sprite.single_image_dim.extend([side, side])
    # Last, so that a run killed in between shows no page rather than half of one.
    (logdir / CONFIG).write_text(text_format.MessageToString(config), encoding="utf-8")


def _sprite(images: np.ndarray, side: int) -> Image.Image:
    """All images as thumbnails in rows, as many in a row as there are rows."""
    columns = int(np.ceil(np.sqrt(len(images))))
    sheet = np.zeros((columns * side, columns * side, 3), np.uint8)
    for i, image in enumerate(images):
        top, left = (side * place for place in divmod(i, columns))
        thumbnail = as_rgb(shaped(image, (side, side, image.shape[2])))
        sheet[top : top + side, left : left + side] = thumbnail
    return Image.fromarray(sheet)
