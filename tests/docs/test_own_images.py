"""The Python on docs/own_images.md runs as it stands."""

import re
from pathlib import Path

import keras
import numpy as np

from semisup.models import backbones

PAGE = Path(__file__).parents[2] / "docs" / "own_images.md"


def test_a_classifier_of_ones_own_becomes_a_backbone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inputs = keras.Input((160, 160, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    classifier = keras.Model(inputs, keras.layers.Dense(7)(pooled))
    classifier.save("classifier.keras")
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(code, {})
    made = backbones.build("features.keras", (160, 160, 3), None, "none", None)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3)).astype("float32")
    expected = keras.Model(inputs, pooled)(pixels / 255)
    np.testing.assert_allclose(made.features(pixels), expected, rtol=1e-4, atol=1e-5)
