"""Office-31 in its folders, in small."""

import numpy as np
import pytest
from PIL import Image

from semisup.data.registry import load_dataset
from semisup.errors import InputError


def write_domain(folder, domain, per_class=2, size=12):
    """DOMAIN/images/CLASS/frame_0001.jpg, each class and each frame of one colour."""
    for c in range(31):
        place = folder / domain / "images" / f"class_{c:02d}"
        place.mkdir(parents=True)
        for i in range(per_class):
            Image.new("RGB", (size, size + i), (8 * c, 40 * i, 0)).save(
                place / f"frame_{i:04d}.png"
            )


def test_load_domain_reads_and_holds_out(tmp_path):
    write_domain(tmp_path, "dslr", per_class=3)
    (tmp_path / "dslr" / "images" / ".cache").mkdir()
    dataset = load_dataset("office_dslr", tmp_path, new_size=10)
    assert dataset.image_shape == (10, 10, 3)
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (62, 31)
    assert sorted(dataset.test_labels) == list(range(31))
    found = []
    for split in ("train", "test"):
        pixels, labels = getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels")
        np.testing.assert_array_equal(pixels[:, 0, 0, 0], 8 * labels)
        found += zip(labels.tolist(), (pixels[:, 0, 0, 1] // 40).tolist(), strict=True)
    assert sorted(found) == [(c, i) for c in range(31) for i in range(3)]  # each once
    assert [path.parent.name for path in dataset.train_files] == [
        dataset.class_names[label] for label in dataset.train_labels
    ]
    again = load_dataset("office_dslr", tmp_path, new_size=10)
    assert list(again.train_files) == list(dataset.train_files)


def test_load_domain_has_the_authors_size_and_names_what_is_missing(tmp_path):
    write_domain(tmp_path, "webcam")
    assert load_dataset("office_webcam", tmp_path).image_shape == (96, 96, 3)
    with pytest.raises(InputError, match=r"wanted amazon/images/CLASS"):
        load_dataset("office_amazon", tmp_path)
    first = tmp_path / "webcam" / "images" / "class_00"
    (first / "frame_0000.png").unlink()
    with pytest.raises(InputError, match="class_00 has fewer than two images"):
        load_dataset("office_webcam", tmp_path)
    (first / "frame_0001.png").unlink()
    first.rmdir()
    with pytest.raises(InputError, match="holds 30 folders of classes, wanted 31"):
        load_dataset("office_webcam", tmp_path)
