"""A teacher whose opinion of each image is known: its pixels are the logits."""

import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from semisup import experiment
from semisup.data import splits
from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData
from semisup.data.lazy_images import concatenate
from semisup.data.splits import Split
from semisup.errors import InputError
from semisup.models.associative_model import AssociativeModel
from semisup.runs import checkpoints
from semisup.runs.directory import RunDirectory
from semisup.training.loop import train
from semisup.training.self_training import labels_beyond, predict_pseudo_labels
from tests.conftest import assert_stored_alike

pytestmark = pytest.mark.usefixtures("without_pictures")


def write_teacher(folder, names=("a", "b", "c"), pixels=(1, 3, 1)):
    classes = len(names)
    network = keras.Sequential([keras.Input(pixels), keras.layers.Flatten()])
    model = AssociativeModel(network, classes, similarity="dot")
    weights = np.eye(np.prod(pixels), classes) / 10
    model.classifier.set_weights([weights, np.zeros(classes)])
    folder.mkdir()
    model.save(folder / "model.keras")
    write_record(folder, names)
    return folder


def write_record(folder, names=("a", "b", "c")):
    """What else makes a finished run."""
    errors = dict.fromkeys(("test_error", "test_error_median", "test_error_min"), 1.0)
    counts = dict.fromkeys(("train_seconds", "selected_step", "steps"), 1)
    (folder / "result.json").write_text(json.dumps(errors | counts))
    np.savez(folder / "labeled.npz", class_names=np.array(names))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp("teachers") / "run")


def as_images(rows):
    return np.array(rows, np.uint8).reshape(len(rows), 1, 3, 1)


# Its class, as the teacher sees it, and the distance to the next one in logits.
TRAIN = as_images(
    [
        (0, 0, 0),  # labelled
        (9, 4, 0),  # 0 by 0.5
        (0, 90, 0),  # 1 by 9
        (0, 0, 40),  # 2 by 4
        (200, 190, 180),  # 0 by 1, whatever the sum
        (0, 0, 250),  # labelled
        (0, 60, 0),  # 1 by 6
    ]
)


def make_dataset(**changes):
    labels = np.array([0, 1, 0, 0, 1, 2, 0])  # but for the labelled ones, not the teacher's
    dataset = Dataset("points", TRAIN, labels, TRAIN[:1], labels[:1], ("a", "b", "c"))
    return dataclasses.replace(dataset, **changes)


SPLIT = Split(np.array([0, 5]), np.arange(7))


def pseudo_labels(teacher, dataset, split, share):
    return predict_pseudo_labels(RunDirectory(teacher), LabeledData(dataset, split), share)


@pytest.mark.parametrize(
    ("labeled", "share", "indices", "labels"),
    [
        ([0, 5], 1.0, [3], [2]),
        ([0, 1, 5], 1.0, [2, 3, 4, 6], [1, 2, 0, 1]),
        ([0, 1, 5], 0.75, [2, 3, 6], [1, 2, 1]),
        ([0, 1, 5], 0.5, [2, 6], [1, 1]),
        ([0, 1, 5], 0.25, [2], [1]),
    ],
)
def test_pseudo_labels_are_those_of_the_most_confident_images(
    teacher, labeled, share, indices, labels
):
    dataset = make_dataset()
    if len(labeled) == 2:  # no image of class 1 is labelled
        dataset = make_dataset(train_labels=np.array([2, 1, 0, 0, 1, 2, 0]))
    found = pseudo_labels(teacher, dataset, Split(np.array(labeled), np.arange(7)), share)
    assert found.indices.tolist() == indices
    assert found.labels.tolist() == labels
    assert found.labels.dtype == np.int64


def test_confidence_is_that_of_the_class_against_all_others(teacher):
    """By the margin to the second class alone, the other image would come first."""
    pool = as_images([(20, 10, 0), (20, 9, 9)])
    split = Split(np.array([0, 1, 5]), np.arange(2))
    found = pseudo_labels(teacher, make_dataset(unlabeled_images=pool), split, 0.5)
    assert (found.indices.tolist(), found.labels.tolist()) == ([0], [0])


def test_teaches_only_unlabelled_images_of_the_split(teacher):
    split = Split(np.array([0, 1, 5]), np.array([0, 3, 4, 5]))
    found = pseudo_labels(teacher, make_dataset(), split, 1.0)
    assert (found.indices.tolist(), found.labels.tolist()) == ([3, 4], [2, 0])


def test_teaches_the_data_sets_own_unlabelled_images(teacher):
    pool = TRAIN[::-1].copy()
    split = Split(np.array([0, 1, 5]), np.arange(7))
    found = pseudo_labels(teacher, make_dataset(unlabeled_images=pool), split, 0.3)
    assert (found.indices.tolist(), found.labels.tolist()) == ([1, 4], [2, 1])


def test_all_images_labelled_leave_none_to_teach(teacher):
    everything = Split(np.arange(7), np.arange(7))
    found = pseudo_labels(teacher, make_dataset(), everything, 0.95)
    images, labels = LabeledData(make_dataset(), everything, found).training_images_and_labels()
    np.testing.assert_array_equal(images, TRAIN)
    np.testing.assert_array_equal(labels, make_dataset().train_labels)


def test_images_of_disk_and_memory_together(digits_folder):
    from semisup.data.lazy_images import ImageFiles

    paths = np.empty(4, object)
    paths[:] = sorted((digits_folder / "unlabeled").iterdir())[:4]
    stored = ImageFiles(paths, (28, 28, 1))
    held = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    assert_stored_alike(concatenate(stored, held), np.concatenate([stored, held]))
    assert_stored_alike(concatenate(held, stored), np.concatenate([held, stored]))
    assert_stored_alike(concatenate(held, stored)[1:], np.concatenate([held, stored])[1:])
    assert isinstance(concatenate(held, held), np.ndarray)


@pytest.mark.parametrize("scale", [1, 1000])
def test_very_sure_is_not_as_sure_as_surer_yet(tmp_path, scale):
    """Probabilities that are 1 in float32 are told apart, whatever the order of the images."""
    sharp = write_teacher(tmp_path / "sharp")
    model = keras.models.load_model(sharp / "model.keras")
    model.classifier.kernel.assign(model.classifier.kernel * scale)
    model.save(sharp / "model.keras")
    split = Split(np.array([0, 1, 5]), np.arange(7))
    found = pseudo_labels(sharp, make_dataset(), split, 0.5)
    assert found.indices.tolist() == [2, 6]


def test_refuses_a_teacher_that_does_not_fit(tmp_path):
    with pytest.raises(InputError, match=r"no finished run in .*; `teacher` must name the folder"):
        pseudo_labels(tmp_path, make_dataset(), SPLIT, 1.0)
    for names in (("a", "b"), ("b", "a", "c")):
        other = write_teacher(tmp_path / "-".join(names), names)
        with pytest.raises(InputError, match="does not classify the 3 classes of points"):
            pseudo_labels(other, make_dataset(), SPLIT, 1.0)
    other = write_teacher(tmp_path / "size", pixels=(2, 3, 1))
    with pytest.raises(InputError, match="takes images of 2x3x1, not of 1x3x1"):
        pseudo_labels(other, make_dataset(), SPLIT, 1.0)
    (other / "result.json").unlink()  # with --select=label_free the model comes before the end
    with pytest.raises(InputError, match="no finished run"):
        pseudo_labels(other, make_dataset(), SPLIT, 1.0)
    plain = tmp_path / "plain"
    plain.mkdir()
    keras.Sequential([keras.layers.Flatten()]).save(plain / "model.keras")
    write_record(plain)
    with pytest.raises(InputError, match="`teacher` must name a run on the same data"):
        pseudo_labels(plain, make_dataset(), SPLIT, 1.0)


def test_warns_of_a_teacher_that_read_other_values(teacher, caplog):
    pseudo_labels(teacher, make_dataset(), SPLIT, 1.0)
    assert not caplog.text
    pseudo_labels(teacher, make_dataset(values_in=(0.0, 4095.0)), SPLIT, 1.0)
    assert "values from 0 to 255 as 0 to 255, but points is read from 0 to 4095" in caplog.text


@pytest.fixture(scope="module")
def student(tiny, tmp_path_factory):
    """A recipe whose teacher is trained; don't change that."""
    few = dataclasses.replace(tiny, sup_per_class=2, max_steps=2, eval_interval=2)
    teacher = tmp_path_factory.mktemp("teachers") / "run"
    train(few, teacher)
    return dataclasses.replace(
        few, teacher=str(teacher), teacher_share=0.5, augmentation="none",
        walker_weight=0.0, visit_weight=0.0,
    )  # fmt: skip


def test_batches_hold_pseudo_labeled_images_with_their_labels(student):
    setup = experiment.build(student)
    teacher = RunDirectory(student.teacher)
    found = predict_pseudo_labels(teacher, setup.data, student.teacher_share)
    setup = dataclasses.replace(setup, data=dataclasses.replace(setup.data, pseudo_labels=found))
    dataset = setup.data.dataset
    assert len(found.indices) == round(0.5 * (60 - 6))
    model = keras.models.load_model(teacher.model)
    opinions = model.predict(dataset.train_images, verbose=0)["logits"].argmax(axis=1)
    np.testing.assert_array_equal(found.labels, opinions[found.indices])
    labeled = setup.data.split.labeled
    given = dict(zip(labeled, dataset.train_labels[labeled], strict=True))
    given |= dict(zip(found.indices, found.labels, strict=True))
    drawn = set()
    for images, labels in setup.batches().take(30):
        for image, label in zip(images.numpy(), labels.numpy(), strict=True):
            [place] = np.flatnonzero((dataset.train_images == image).all(axis=(1, 2, 3)))
            assert given[place] == label
            drawn.add(place)
    assert drawn == set(given)


def test_a_run_keeps_its_pseudo_labels(student, tmp_path, capsys, monkeypatch):
    """It goes on with the same labels when its teacher has changed or is gone."""
    shutil.copytree(student.teacher, tmp_path / "teacher")
    student = dataclasses.replace(student, teacher=str(tmp_path / "teacher"))
    whole = train(student, tmp_path / "whole")
    said = capsys.readouterr().out
    source = f"those about which {student.teacher} is most confident"
    assert f"27 of the unlabelled ones have pseudo-labels: {source}" in said
    assert "The teacher was trained with" not in said
    saves = []
    monkeypatch.setattr(
        "semisup.runs.checkpoints.save",
        lambda *args, save=checkpoints.save, **more: saves.append(args) or save(*args, **more),
    )
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr("semisup.training.monitoring.LossMonitor.add", lambda *_: 1 / 0)
        train(student, tmp_path / "cut")
    assert len(saves) == 1
    Path(student.teacher).rename(tmp_path / "gone")
    result = train(student, tmp_path / "cut")
    errors = ("test_error", "test_error_median", "test_error_min")
    assert [result[name] for name in errors] == [whole[name] for name in errors]
    assert experiment.rebuild(student, RunDirectory(tmp_path / "cut")).data.pseudo_labels is None
    assert train(student, tmp_path / "whole") == whole

    path = tmp_path / "cut" / "pseudo_labels.npz"
    np.savez(path, indices=np.array([1, 60]), labels=np.array([0, 1]))
    with pytest.raises(
        InputError, match=r"pseudo_labels\.npz is damaged: its indices are not those of"
    ):
        train(student, tmp_path / "cut")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"pseudo_labels\.npz"):
        train(student, tmp_path / "cut")


def test_says_what_else_its_teacher_knew(student, tmp_path, capsys):
    train(dataclasses.replace(student, sup_per_class=1), tmp_path / "student")
    said = capsys.readouterr().out
    assert "were trained with 3 labels that this run does not have" in said


def test_a_teacher_that_labels_nothing_is_told(student, tmp_path, capsys):
    train(dataclasses.replace(student, sup_per_class=-1), tmp_path / "student")
    said = capsys.readouterr().out
    assert "The teacher labels no image: all are labelled already" in said
    assert "The unlabelled images are not used" in said


def test_unused_images_are_said_to_be_so(student, tmp_path, capsys):
    train(dataclasses.replace(student, teacher=None), tmp_path / "labels_only")
    assert "The unlabelled images are not used" in capsys.readouterr().out


def test_a_teacher_of_the_target_wants_an_augmentation_for_both_domains(tiny):
    recipe = dataclasses.replace(
        tiny, teacher="run", target_dataset="mnist5k", augmentation="framing"
    )
    with pytest.raises(InputError, match="`augmentation=framing` is for images of the source"):
        experiment.build(recipe)


def test_labels_beyond_are_those_of_all_teachers(tiny, tmp_path):
    """b learned from a, which had more labels than b and c."""
    learned, teacher = {"a": 4, "b": 2, "c": 1}, None
    for name, count in learned.items():
        recipe = dataclasses.replace(tiny, sup_per_class=count, teacher=teacher)
        data = experiment.build(recipe).data
        run = RunDirectory(tmp_path / name)
        run.claim(recipe, data.split_on_record.as_json(), [])
        teacher = str(run)
    labeled = [
        set(splits.read_labeled(RunDirectory(tmp_path / name).split, data.dataset))
        for name in learned
    ]
    assert labels_beyond(recipe, data) == len((labeled[0] | labeled[1]) - labeled[2]) >= 9


def test_labels_beyond_count_those_of_the_run_that_gave_the_weights(tiny, tmp_path):
    first = dataclasses.replace(tiny, sup_per_class=4)
    data = experiment.build(first).data
    RunDirectory(tmp_path / "a").claim(first, data.split_on_record.as_json(), [])
    then = dataclasses.replace(tiny, sup_per_class=1)
    fewer = experiment.build(then).data
    wanted = len(set(data.split.labeled) - set(fewer.split.labeled))
    assert wanted >= 9
    assert labels_beyond(then, fewer) == 0
    for name in ("teacher", "init_from"):
        later = dataclasses.replace(then, **{name: str(tmp_path / "a")})
        assert labels_beyond(later, fewer) == wanted
        assert labels_beyond(later, data) == 0


def test_labels_beyond_end_where_runs_learned_from_each_other(tiny, tmp_path):
    """As b was trained by a, which was then started again with b as its teacher."""
    for name, teacher, count in (("a", "b", 2), ("b", "a", 4)):
        recipe = dataclasses.replace(
            tiny, sup_per_class=count, teacher=str(tmp_path / teacher), max_steps=1
        )
        data = experiment.build(recipe).data
        RunDirectory(tmp_path / name).claim(recipe, data.split_on_record.as_json(), [])
        if name == "a":
            of_a = recipe, data
    assert labels_beyond(*of_a) > 0
