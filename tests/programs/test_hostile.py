"""Files from strangers: no code in them runs, whichever loader reads them."""

import json
import os
import re
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup.config import Recipe
from semisup.data.sources.npz import load_npz
from semisup.errors import InputError
from semisup.inference import saved_run
from semisup.inference.inputs import batches
from semisup.models import architectures, weights
from semisup.runs.directory import RunDirectory
from tests.runs.test_checkpoints import model

ROOT = Path(__file__).parents[2]


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("key", ["train_images", "images", "class_names"])
def test_pickles_in_npz_are_not_loaded(tmp_path, key):
    arrays = {"train_images": np.zeros((3, 4, 4), np.uint8), "train_labels": np.zeros(3, np.int64)}
    arrays[key] = np.array([Trap(tmp_path / "sprung")] * 3, object)
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    with np.load(path, allow_pickle=True) as file:
        file[key]
    (tmp_path / "sprung").rmdir()  # the trap works
    with pytest.raises(InputError, match=r"data\.npz is not a \.npz file of plain arrays"):
        load_npz(path)
    refused = []
    assert list(batches([path], (4, 4, 1), 10, refused.append)) == []
    assert "is not a .npz file of plain arrays" in str(refused[0])
    assert not (tmp_path / "sprung").exists()


def crafted(path, layer):
    """A .keras file in which one layer is something else."""
    keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()]).save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(contents["config.json"])
    config["config"]["layers"].append(layer)
    contents["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def with_lambda(path, sprung):
    place = str(sprung)
    trap = keras.layers.Lambda(lambda x: (os.makedirs(place, exist_ok=True), x)[1])  # noqa: PTH103
    keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), trap]).save(path)
    sprung.rmdir()  # which building the layer made


def with_other_module(path, sprung):
    config = {"args": ["mkdir", str(sprung)]}
    crafted(path, {"module": "subprocess", "class_name": "Popen", "config": config})


def with_saved_model(path, sprung):
    """One that is there, and writes a file when it is called."""

    class Trap(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 16])])
        def serve(self, x):
            tf.io.write_file(str(sprung), "")
            return x

    place = path.with_name("outside")
    tf.saved_model.save(Trap(), str(place))
    config = {"name": "trap", "filepath": str(place), "call_endpoint": "serving_default"}
    crafted(path, {"module": "keras.layers", "class_name": "TFSMLayer", "config": config})


@pytest.mark.parametrize(
    ("craft", "reason"),
    [
        (with_lambda, "deserialization of a `Lambda` layer"),
        (with_other_module, "could not be deserialized"),
        (with_saved_model, "deserialization of a `TFSMLayer`"),
    ],
)
def test_code_in_models_does_not_run(tmp_path, craft, reason):
    sprung, path = tmp_path / "sprung", tmp_path / "model.keras"
    RunDirectory(tmp_path).claim(Recipe(), {"hash": "0"}, [])
    craft(path, sprung)
    (tmp_path / "labeled.npz").touch()
    for load in (
        lambda: architectures.build(str(path), (4, 4, 1)),
        lambda: weights.load(model(), path),
        lambda: saved_run.load(RunDirectory(tmp_path)),
    ):
        with pytest.raises(InputError, match=re.escape("model.keras")) as refusal:
            load()
        assert reason in str(refusal.value)
        assert "\n" not in str(refusal.value)
    assert not sprung.exists()


def test_no_command_opens_tensorboard_to_others():
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.*"), *(ROOT / "semisup").rglob("*.py")]
    texts += [path for path in (ROOT / "scripts").rglob("*") if path.is_file()]
    commands = [
        line
        for path in texts
        if path.suffix not in (".png", ".pyc")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"tensorboard\b.*--", line)
    ]
    assert len(commands) >= 4
    for command in commands:
        assert not re.search(r"--(bind_all|host)", command), command
