"""What scripts/contact_sheet.py draws, and refuses."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "scripts" / "contact_sheet.py"


def contact_sheet(*words):
    command = [sys.executable, SCRIPT, "--dataset=npz", *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_each_row_is_an_image_of_another_class_and_its_changes(tmp_path):
    images = np.full((3, 8, 8), 20, np.uint8)
    images[:, 2:6, 2:6] = np.array([100, 150, 200], np.uint8)[:, None, None]
    np.savez(tmp_path / "d.npz", train_images=images, train_labels=[0, 1, 2])
    words = ["--augmentation=digits", "--rows=2", "--columns=3", f"--out={tmp_path}/sheet.png"]
    result = contact_sheet(f"--data_dir={tmp_path}/d.npz", *words)
    assert result.returncode == 0, result.stderr
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    scale = 1200 // (4 * 8 + 5 * 2)
    assert (sheet == 100).any() and (sheet == 150).any() and not (sheet == 200).any()
    assert sheet.shape[1] // scale > 3 * 8  # the image and three changed ones


@pytest.mark.slow  # a process; tests/data/test_augmentation.py has the line
def test_an_augmentation_of_colours_refuses_grey_images_in_a_line(tmp_path):
    images = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
    np.savez(tmp_path / "d.npz", train_images=images, train_labels=[0, 1, 2])
    words = [f"--data_dir={tmp_path}/d.npz", "--augmentation=colouring", f"--out={tmp_path}/s.png"]
    result = contact_sheet(*words)
    assert result.returncode == 1
    assert "changes colours" in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "s.png").exists()
