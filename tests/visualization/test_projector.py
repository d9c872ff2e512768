"""The projector's files belong together, row by row."""

import csv

import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector import ProjectorConfig

from semisup import experiment
from semisup.evaluation.metrics import predict
from semisup.inference import saved_run
from semisup.runs import directory
from semisup.visualization import projector


def test_every_point_has_its_image_its_class_and_its_embedding(finished_run):
    config = text_format.Parse((finished_run / projector.CONFIG).read_text(), ProjectorConfig())
    [page] = config.embeddings
    points = np.loadtxt(finished_run / page.tensor_path, delimiter="\t")
    with (finished_run / page.metadata_path).open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(points) == len(rows) == 50 + 40  # 5 labelled of each class; a fifth to test on
    sheet = np.asarray(Image.open(finished_run / page.sprite.image_path))
    height, width = page.sprite.single_image_dim
    across = sheet.shape[1] // width
    images = []
    for i in range(len(points)):
        row, column = divmod(i, across)
        images.append(sheet[row * height :, column * width :][:height, :width, :1])
    run = saved_run.load(finished_run)
    outputs = predict(run.model, np.stack(images))
    np.testing.assert_allclose(outputs.embeddings, points, rtol=1e-3, atol=1e-4)
    names = run.labeled.class_names[outputs.logits.argmax(axis=1)]
    assert [row["predicted"] for row in rows] == list(names)
    # The place of the bright block is the class, as `easy_digits` has it.
    setup = experiment.build(directory.read_recipe(finished_run))
    known = {
        image.tobytes(): setup.dataset.class_names[label]
        for image, label in zip(
            np.concatenate([setup.dataset.train_images, setup.dataset.test_images]),
            np.concatenate([setup.dataset.train_labels, setup.dataset.test_labels]),
            strict=True,
        )
    }
    assert [row["class"] for row in rows] == [known[image.tobytes()] for image in images]
    assert [row["set"] for row in rows] == ["labelled"] * 50 + ["test"] * 40
