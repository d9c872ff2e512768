"""TensorBoard's projector page: embeddings in space, each shown as its image."""

import math
from collections.abc import Iterator

import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector import ProjectorConfig

from semisup.data.dataset import Images
from semisup.data.image_io import as_rgb, shaped
from semisup.data.labeled_data import LabeledData
from semisup.evaluation.metrics import Evaluation, Predictions
from semisup.evaluation.names import printable
from semisup.runs import files
from semisup.runs.directory import RunDirectory
from semisup.visualization.plots import montage, squared

# Of the labelled and of the test images, this many at most: the page runs in a browser.
_IMAGES = 1000

_AT_ONCE = 100  # images whose pixels are read, which bounds the memory

# The page takes one picture of all thumbnails, of at most 8192 x 8192 pixels.
_SIDE = 40


def write(
    run: RunDirectory,
    data: LabeledData,
    evaluation: Evaluation,
    labeled: np.ndarray,
    predictions: Predictions,
) -> None:
    """Write what the projector page shows into the folder of a run.

    At most 1,000 labelled and 1,000 test images with their embeddings, class names, predicted
    classes and thumbnails.

    Args:
        run: the run's folder.
        data: where the images are from.
        evaluation: of the run's model on the test images.
        labeled: indices of labelled training images, int64 [N].
        predictions: the model's, of these N images.
    """
    dataset = data.dataset
    random = np.random.default_rng(0)
    train = random.permutation(len(labeled))[:_IMAGES]
    test = random.permutation(len(dataset.test_labels))[:_IMAGES]
    embeddings = np.concatenate([predictions.embeddings[train], evaluation.embeddings[test]])
    logits = np.concatenate([predictions.logits[train], evaluation.logits[test]])
    labels = np.concatenate([dataset.train_labels[labeled[train]], dataset.test_labels[test]])
    side = min(_SIDE, max(dataset.image_shape[:2]))
    thumbnails = [
        *_thumbnails(dataset.train_images, labeled[train], side),
        *_thumbnails(dataset.test_images, test, side),
    ]

    run.projector.mkdir(exist_ok=True)
    config = ProjectorConfig()
    page = config.embeddings.add()
    page.tensor_name = "embedding"
    page.tensor_path = f"{run.projector.name}/embeddings.tsv"
    page.metadata_path = f"{run.projector.name}/metadata.tsv"
    page.sprite.image_path = f"{run.projector.name}/thumbnails.png"
    page.sprite.single_image_dim.extend([side, side])
    with files.whole(run.path / page.tensor_path) as temporary:
        np.savetxt(temporary, embeddings, fmt="%.5g", delimiter="\t")
    # The page splits lines at tabs and knows no quotes; no name has a tab once it is printable.
    names = [printable(name) for name in dataset.class_names]
    sets = ["labelled"] * len(train) + ["test"] * len(test)
    rows = [("class", "predicted", "set")]
    predicted = logits.argmax(axis=1)
    rows += [(names[y], names[p], s) for y, p, s in zip(labels, predicted, sets, strict=True)]
    files.write_text(run.path / page.metadata_path, "".join("\t".join(row) + "\n" for row in rows))
    with files.whole(run.path / page.sprite.image_path) as temporary:
        _sprite(thumbnails).save(temporary, compress_level=1)  # a third of the time
    # Last, so that a run killed in between shows no page rather than half of one.
    files.write_text(run.projector_config, text_format.MessageToString(config))


def _thumbnails(images: Images, chosen: np.ndarray, side: int) -> Iterator[np.ndarray]:
    """Images resized to [side, side, 3]."""
    for i in range(0, len(chosen), _AT_ONCE):
        for pixels in squared(np.asarray(images[chosen[i : i + _AT_ONCE]]), fill=0):
            yield as_rgb(shaped(pixels, (side, side, pixels.shape[2])))


def _sprite(thumbnails: list[np.ndarray]) -> Image.Image:
    """All thumbnails on black, in a square: the page takes rows and columns to be as many."""
    columns = math.ceil(math.sqrt(len(thumbnails)))
    sheet = montage(np.stack(thumbnails), columns, fill=0)
    missing = sheet.shape[1] - sheet.shape[0]
    return Image.fromarray(np.pad(sheet, ((0, missing), (0, 0), (0, 0))))
