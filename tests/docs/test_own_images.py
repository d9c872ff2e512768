"""The Python of docs/own_images.md does what the page says."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import semisup

PAGE = Path(__file__).parents[2] / "docs" / "own_images.md"


def snippet(words):
    """The page's Python that has these words."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    [code] = [block for block in blocks if words in block]
    return code


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_labels_in_a_table_become_a_data_set(tmp_path):
    (tmp_path / "archive").mkdir()
    for number in range(6):
        shade = np.full((4, 4), 40 * number, np.uint8)
        Image.fromarray(shade).save(tmp_path / "archive" / f"{number}.png")
    (tmp_path / "labels.csv").write_text(
        "\ufeff0.png,cat\n1.png, cat\n2.png,dog \n3.png,dog\n",
        encoding="utf-8",  # as Excel's
    )
    exec(snippet("labels.csv"), {})
    dataset = semisup.load_dataset("folder", "photos")
    assert dataset.class_names == ("cat", "dog")
    shades = sorted(int(image[0, 0, 0]) for image in dataset.unlabeled_images)
    assert shades == [160, 200]


def test_features_of_a_classifier_are_a_network(tmp_path):
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(7), keras.layers.Dense(2)]
    keras.Sequential([keras.Input((160, 160, 3)), *layers]).save(tmp_path / "classifier.keras")
    exec(snippet("classifier.layers[-1]"), {})
    features = keras.models.load_model(tmp_path / "features.keras")
    assert features.output_shape == (None, 7)
    white = np.full((1, 160, 160, 3), 255.0, np.float32)
    [[*expected]] = keras.Sequential(layers[:2])(white / 255)
    np.testing.assert_allclose(features(white)[0], expected, rtol=1e-5, atol=1e-6)


def test_trained_model_names_classes_in_python(finished_run, digits_folder, tmp_path, capsys):
    (tmp_path / "run").symlink_to(finished_run)
    digits = semisup.load_dataset("folder", digits_folder)
    (tmp_path / "new_photos").mkdir()
    for i, image in enumerate(np.asarray(digits.test_images[:20])):
        Image.fromarray(image[..., 0]).save(tmp_path / "new_photos" / f"{i:02d}.jpg", quality=95)
    exec(snippet('RunDirectory("run")'), {})
    shown = re.findall(r"'(digit_\d)'", capsys.readouterr().out)
    assert shown == [digits.class_names[label] for label in digits.test_labels[:20]]
