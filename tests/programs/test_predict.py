"""A finished run classifies images of people's own, from its folder alone."""

import csv
import dataclasses
import io
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from semisup import experiment
from semisup.data.image_io import formats
from semisup.errors import InputError
from semisup.evaluation.metrics import predict
from semisup.inference import inputs, saved_run
from semisup.inference.predictor import COLUMNS, predict_images
from semisup.runs.directory import RunDirectory
from semisup.runtime import progress
from semisup.training.loop import train
from tests import processes
from tests.conftest import easy_digits
from tests.processes import run as run_program


def test_predictions_are_those_of_the_model_and_of_a_search_by_hand(finished_run):
    run = saved_run.load(RunDirectory(finished_run))
    images, labels = easy_digits(30, seed=9)
    rows = predict_images(run, [str(i) for i in range(30)], images[..., None])
    outputs = predict(run.model, images[..., None])
    right = [row.predicted_class == f"digit_{y}" for row, y in zip(rows, labels, strict=True)]
    assert np.mean(right) > 0.8
    for i, row in enumerate(rows):
        shares = np.exp(outputs.logits[i] - outputs.logits[i].max())
        shares /= shares.sum()
        assert row.probability == pytest.approx(shares.max(), abs=1e-5)
        e = outputs.embeddings[i]
        cosines = [e @ a / np.linalg.norm(e) / np.linalg.norm(a) for a in run.labeled.embeddings]
        assert row.cosine_similarity == pytest.approx(max(cosines), abs=1e-5)
        assert row.nearest_labeled == run.labeled.names[int(np.argmax(cosines))]
        assert f"/{row.nearest_class}/" in row.nearest_labeled


def test_labelled_images_of_a_run_are_kept_and_find_themselves(finished_run):
    run = saved_run.load(RunDirectory(finished_run))
    setup = experiment.build(RunDirectory(finished_run).read_recipe())
    images = setup.data.dataset.train_images[setup.data.split.labeled]
    rows = predict_images(run, list(run.labeled.names), images)
    assert [row.nearest_labeled for row in rows] == list(run.labeled.names)
    assert {image.tobytes() for image in run.labeled.images} == {i.tobytes() for i in images}


def test_csv_is_whole_and_unreadable_files_are_counted(finished_run, digits_folder, tmp_path):
    # The run's folder alone, elsewhere: no checkpoint and no data set.
    run = tmp_path / "copied"
    run.mkdir()
    for name in ("recipe.json", "model.keras", "labeled.npz"):
        shutil.copy(finished_run / name, run)
    photos = tmp_path / "photos"
    shutil.copytree(digits_folder / "train" / "digit_3", photos)
    (photos / "bad.png").write_bytes(b"<html>")
    out = tmp_path / "classes.csv"
    result = run_program("predict", photos, f"--logdir={run}", f"--out={out}")
    assert result.returncode == 2
    assert result.stdout.endswith(f"wrote {out}: 20 images classified\n")
    first, *_, last = result.stderr.strip().splitlines()  # between them what a slow machine says
    assert first.startswith(f"skipped: cannot read the image {photos}/bad.png (6 bytes)")
    assert "skip" not in first.removeprefix("skipped")  # advice for training only
    assert last == "1 of the files could not be read"
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["path"] for row in rows] == sorted(map(str, photos.glob("[0-9]*.png")))
    assert sum(row["class"] == "digit_3" for row in rows) > 15
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.csv", "copied", "photos"]


def test_images_of_more_than_8_bits_are_read_as_in_training(tiny, tmp_path):
    """A 12-bit image fills a sixteenth of 16 bits: by another range it is nearly black."""
    random = np.random.default_rng(0)
    for i in range(8):
        path = tmp_path / "data" / "train" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 4096, (8, 8), dtype=np.uint16)).save(path)
    sizes = {"sup_per_class": 2, "max_steps": 2, "unsup_batch_size": 4}
    data = {"dataset": "folder", "data_dir": str(tmp_path / "data")}
    train(dataclasses.replace(tiny, **data, **sizes), tmp_path / "run")
    labeled = saved_run.load(RunDirectory(tmp_path / "run")).labeled.names
    result = run_program("predict", *labeled, f"--logdir={tmp_path}/run")
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["path"] for row in rows] == list(labeled)
    for row in rows:
        assert (row["nearest_labeled"], row["cosine_similarity"]) == (row["path"], "1.0000")


def test_progress_is_not_written_into_the_csv(finished_run, digits_folder, tmp_path):
    """With a line at every image; a run without its model reads its images again."""
    run, out, errors = tmp_path / "run", tmp_path / "out", tmp_path / "errors"
    shutil.copytree(finished_run, run)
    (run / "labeled.npz").unlink()
    words = [str(digits_folder / "train" / "digit_3"), f"--logdir={run}"]
    process = processes.start(predict_with_much_progress, words, out, errors)
    process.join()
    assert process.exitcode == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert all(row["class"].startswith("digit_") for row in rows)
    assert "reading images: " in errors.read_text()
    assert "\n20 images classified\n" in errors.read_text()


def predict_with_much_progress(words, out, errors):
    progress.SECONDS_BETWEEN_LINES = -1
    processes._run("predict", words, str(out.parent), dict(os.environ), out, errors)


def test_csv_goes_to_standard_output_where_there_is_no_other_place(finished_run, tmp_path):
    images, labels = easy_digits(3, seed=9)
    np.savez(tmp_path / "some.npz", images=images)
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(images[0]).save(photos / "one.png")
    (photos / "notes.txt").write_text("mine")
    words = (photos, tmp_path / "some.npz", f"--logdir={finished_run}")
    result = run_program("predict", *words)
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    named = [str(photos / "one.png"), *(f"{tmp_path}/some.npz[{i}]" for i in range(3))]
    assert [row["path"] for row in rows] == named
    assert rows[0]["class"] == rows[1]["class"]
    assert [row["class"] for row in rows[1:]] == [f"digit_{label}" for label in labels]
    why = f"1 .txt files, which are not images (such as {photos}/notes.txt)"
    assert f"left out: {why}" in result.stderr.splitlines()
    assert "skipped" not in result.stderr


def test_images_that_the_authors_code_resized_are_told(finished_run, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    for dataset, warned in (("mnist", True), ("folder", False)):
        record = json.loads((run / "recipe.json").read_text())
        record["recipe"] |= {"dataset": dataset, "compat": "authors", "new_size": 28}
        (run / "recipe.json").write_text(json.dumps(record))
        caplog.clear()
        saved_run.load(RunDirectory(run))
        assert ("were resized as TensorFlow 1 did it" in caplog.text) == warned


def test_a_run_limits_the_size_of_images_as_it_was_trained(finished_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    record = json.loads((run / "recipe.json").read_text())
    record["recipe"]["max_megapixels"] = 3
    (run / "recipe.json").write_text(json.dumps(record))
    assert saved_run.load(RunDirectory(run)).how.max_megapixels == 3


def test_the_csv_replaces_no_image(finished_run, tmp_path):
    """As with `--out *.png`, the name forgotten."""
    images, _ = easy_digits(2, seed=9)
    for name, image in zip(("a.png", "b.png"), images, strict=True):
        Image.fromarray(image).save(tmp_path / name)
    before = (tmp_path / "a.png").read_bytes()
    words = (f"--logdir={finished_run}", "--out", tmp_path / "a.png", tmp_path / "b.png")
    result = run_program("predict", *words)
    assert result.returncode == 1
    assert f"--out would replace {tmp_path}/a.png, which holds images; give" in result.stderr
    assert (tmp_path / "a.png").read_bytes() == before
    odd = tmp_path / "odd.name"
    for path in (odd, tmp_path / "a.npz", tmp_path / "a.heic"):
        assert inputs.file_to_write(path, [path]) == path  # which is not there
        path.write_bytes(before)
        with pytest.raises(InputError, match="would replace"):
            inputs.file_to_write(path, [odd])
    assert inputs.file_to_write(odd, []) == odd


def test_the_csv_replaces_no_file_of_a_run(finished_run):
    for name in ("recipe.json", "model.keras"):
        with pytest.raises(InputError, match=f"would replace .*{name}, a file of a run"):
            inputs.file_to_write(finished_run / name, [])
    assert inputs.file_to_write(finished_run / "new.csv", []).name == "new.csv"


def test_files_left_out_are_an_error_only_where_they_may_be_images(tmp_path, monkeypatch):
    monkeypatch.setattr(
        formats, "missing_plugin", {".heic": "pillow-heif", ".png": None, ".txt": None}.get
    )
    for name, wanted in (("a.heic", True), ("a.png", False), ("a.txt", False)):
        (tmp_path / name).touch()
        assert inputs.can_not_be_read(tmp_path / name) == wanted
    assert inputs.can_not_be_read(tmp_path / "missing.png")


def test_a_pipe_is_written_to_and_broken_links_are_told(finished_run, digits_folder, tmp_path):
    pipe, photos = tmp_path / "pipe", tmp_path / "photos"
    os.mkfifo(pipe)
    shutil.copytree(digits_folder / "train" / "digit_3", photos)
    (photos / "gone.png").symlink_to("nowhere.png")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # 20 lines fit into a pipe
    result = run_program("predict", photos, f"--logdir={finished_run}", f"--out={pipe}")
    content = os.read(reader, 1 << 16).decode()
    os.close(reader)
    assert len(content.splitlines()) == 21
    assert "1 broken links (such as" in result.stderr
    assert result.returncode == 2
    assert pipe.is_fifo()


def test_files_that_can_not_be_read_at_all_are_an_error(finished_run, tmp_path):
    Image.new("L", (1100, 1000)).save(tmp_path / "large.png")
    out = tmp_path / "classes.csv"
    words = (tmp_path, f"--logdir={finished_run}", "--max_megapixels=1", f"--out={out}")
    result = run_program("predict", *words)
    assert (result.returncode, result.stdout, out.exists()) == (1, "", False)
    first, last = result.stderr.splitlines()
    assert first.startswith(f"skipped: {tmp_path}/large.png ")
    assert last == "error: there is no image that can be read in the 1 file"
    np.savez(tmp_path / "none.npz", images=np.zeros((0, 28, 28), np.uint8))
    (tmp_path / "large.png").unlink()
    result = run_program("predict", tmp_path / "none.npz", *words[1:])
    assert (result.returncode, out.exists()) == (1, False)


def test_bad_requests_are_one_line(finished_run, digits_folder, tmp_path):
    a_label = digits_folder / "train" / "digit_3"
    for arguments, words in (
        ([tmp_path], "--logdir is missing"),
        ([f"--logdir={finished_run}"], "no images are given"),
        ([f"--logdir={finished_run}", "nowhere/*.png"], "there is no image nowhere"),
        ([f"--logdir={finished_run}", a_label, f"--out={tmp_path}"], "is a folder; --out names"),
        ([f"--logdir={finished_run}", a_label, "--out="], ". is a folder; --out names the file"),
    ):
        result = run_program("predict", *arguments)
        assert result.returncode == 1
        [line] = result.stderr.strip().splitlines()
        assert line.startswith("error: ")
        assert words in line


def test_runs_predict_by_their_model_or_a_checkpoint_and_damage_is_named(
    finished_run, tmp_path, monkeypatch
):
    whole = saved_run.load(RunDirectory(finished_run))
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "labeled.npz").unlink()
    restored = []
    restore = saved_run.checkpoints.restore
    monkeypatch.setattr(
        saved_run.checkpoints, "restore", lambda *args: restored.append(restore(*args))
    )
    for of_checkpoint in (False, True):
        if of_checkpoint:  # a run that has not ended
            (run / "result.json").unlink()
        again = saved_run.load(RunDirectory(run))
        np.testing.assert_allclose(again.labeled.embeddings, whole.labeled.embeddings, rtol=1e-5)
        assert bool(restored) == of_checkpoint
    (run / "labeled.npz").write_bytes((finished_run / "labeled.npz").read_bytes()[:900])
    with pytest.raises(InputError, match=r"labeled\.npz is .*damaged"):
        saved_run.load(RunDirectory(run))
    (run / "model.keras").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"cannot load the model .*model\.keras"):
        saved_run.load(RunDirectory(run))
    with pytest.raises(InputError, match="holds no run"):
        saved_run.load(RunDirectory(tmp_path))
