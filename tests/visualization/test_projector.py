"""The projector's files belong together, row by row."""

import csv

import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector import ProjectorConfig

from semisup import experiment
from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData
from semisup.data.splits import choose_split
from semisup.evaluation.metrics import Evaluation, Predictions, count_mistakes, predict
from semisup.inference import saved_run
from semisup.runs.directory import RunDirectory
from semisup.visualization import projector


def test_write_gives_every_point_its_image_its_class_and_its_embedding(finished_run):
    folder = RunDirectory(finished_run)
    config = text_format.Parse(folder.projector_config.read_text(), ProjectorConfig())
    [page] = config.embeddings
    points = np.loadtxt(finished_run / page.tensor_path, delimiter="\t")
    with (finished_run / page.metadata_path).open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(points) == len(rows) == 50 + 40  # 5 labelled of each class; a fifth to test on
    sheet = np.asarray(Image.open(finished_run / page.sprite.image_path))
    height, width = page.sprite.single_image_dim
    across = sheet.shape[1] // width
    assert sheet.shape[:2] == (10 * height, 10 * width)  # TensorBoard takes it for a square
    images = []
    for i in range(len(points)):
        row, column = divmod(i, across)
        images.append(sheet[row * height :, column * width :][:height, :width, :1])
    run = saved_run.load(folder)
    outputs = predict(run.model, np.stack(images))
    np.testing.assert_allclose(outputs.embeddings, points, rtol=1e-3, atol=1e-4)
    names = run.labeled.class_names[outputs.logits.argmax(axis=1)]
    assert [row["predicted"] for row in rows] == list(names)
    # The place of the bright block is the class, as `easy_digits` has it.
    setup = experiment.build(RunDirectory(finished_run).read_recipe())
    known = {
        image.tobytes(): setup.data.dataset.class_names[label]
        for image, label in zip(
            np.concatenate([setup.data.dataset.train_images, setup.data.dataset.test_images]),
            np.concatenate([setup.data.dataset.train_labels, setup.data.dataset.test_labels]),
            strict=True,
        )
    }
    assert [row["class"] for row in rows] == [known[image.tobytes()] for image in images]
    assert [row["set"] for row in rows] == ["labelled"] * 50 + ["test"] * 40


def test_write_keeps_rows_whole_whatever_the_names(tmp_path):
    labels = np.arange(30) % 3
    images = np.random.default_rng(1).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    names = ("tab\tand\nline", 'a "quoted" $', b"ch\xe8vre".decode("utf-8", "surrogateescape"))
    dataset = Dataset("toy", images, labels, images, labels, names)
    data = LabeledData(dataset, choose_split(dataset, 4))
    random = np.random.default_rng(0)
    embeddings, logits = random.normal(size=(30, 2)), random.normal(size=(30, 3))
    report = count_mistakes(labels, logits.argmax(axis=1), names)
    found = Evaluation(embeddings, logits, report)
    labeled = data.split.labeled
    run = RunDirectory(tmp_path)
    predictions = Predictions(embeddings[labeled] + 100, logits[labeled])
    projector.write(run, data, found, labeled, predictions)
    lines = (run.projector / "metadata.tsv").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    shown = {r"tab\tand\nline": 0, 'a "quoted" $': 1, r"ch\xe8vre": 2}
    rows = [line.split("\t") for line in lines]
    assert rows.pop(0) == ["class", "predicted", "set"]
    points = np.loadtxt(run.projector / "embeddings.tsv", delimiter="\t")
    assert len(rows) == len(points) == 12 + 30
    for (name, predicted, kind), point in zip(rows, points, strict=True):
        shift = 100 if kind == "labelled" else 0
        [i] = np.flatnonzero(np.abs(embeddings + shift - point).max(axis=1) < 1e-2)
        assert labels[i] == shown[name]
        assert logits[i].argmax() == shown[predicted]
