"""Photographs are the right way up, however the camera was held; damaged pixels are refused."""

import io

import numpy as np
import pytest
from PIL import Image

from semisup.data import lazy_images
from semisup.data.image_io import find_images, read_header, read_image, read_image_as
from semisup.data.sources.folder import load_folder
from semisup.errors import InputError
from semisup.inference import inputs

ORIENTATION = 0x0112  # the tag's number in the EXIF standard

# What the standard says a viewer must do to the stored rows and columns.
UPRIGHT = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x.transpose(1, 0, 2), 2),
    8: np.rot90,
}


def photograph(ending="jpeg", orientation=None, more=None):
    """The bytes of a noisy image of 20 x 30 pixels, stored with this orientation."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    exif = Image.Exif()
    if orientation:
        exif[ORIENTATION] = orientation
    exif.update(more or {})
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, ending, exif=exif)
    return file.getvalue()


def stored(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize("ending", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_read_image_undoes_each_orientation(tmp_path, ending, orientation):
    path = tmp_path / f"photo.{ending}"
    path.write_bytes(photograph(ending, orientation))
    wanted = UPRIGHT[orientation](stored(photograph(ending)))
    assert find_images(tmp_path) == [path]
    np.testing.assert_array_equal(read_image(path), wanted)
    assert read_header(path) == wanted.shape
    left_half = read_image(path, box=(0, 0, 10, wanted.shape[0]))
    np.testing.assert_array_equal(left_half, wanted[:, :10])


def test_image_io_gives_all_readers_the_same_upright_photograph(tmp_path, monkeypatch):
    wanted = np.rot90(stored(photograph()), -1)
    for name in ("train/cat", "train/dog", "test/cat", "test/dog", "unlabeled"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "held_upright.jpg").write_bytes(photograph(orientation=6))
        Image.fromarray(wanted).save(folder / "scan.png")  # without new_size: of the same shape
    in_memory = load_folder(tmp_path)
    monkeypatch.setattr(lazy_images, "memory_for_images", lambda: 0)
    in_files = load_folder(tmp_path)
    [(_, named)] = inputs.batches(in_files.train_files, (30, 20, 3), 10, pytest.fail)
    for images in (in_memory.train_images, in_files.train_images, named):
        for image in np.asarray(images):
            np.testing.assert_array_equal(image, wanted)
    gathered = in_files.unlabeled_images.gather(np.array([0]))
    np.testing.assert_array_equal(gathered[0], wanted)


@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_read_image_reads_images_with_broken_or_strange_exif(tmp_path):
    path = tmp_path / "photo.webp"
    content = photograph("webp", orientation=6)
    pixels = stored(content)
    path.write_bytes(content.replace(b"MM\x00*", b"\xff\xff\xff\xff"))
    np.testing.assert_array_equal(read_image(path), pixels)
    assert read_header(path) == pixels.shape
    # A camera's name where the standard has the width: Pillow reads it, but can't write it.
    content = photograph(orientation=6, more={0x010F: "Camera"})
    damaged = content.replace(b"\x01\x0f\x00\x02", b"\x01\x00\x00\x02")
    assert damaged != content
    path = tmp_path / "photo.jpg"
    path.write_bytes(damaged)
    np.testing.assert_array_equal(read_image(path), np.rot90(stored(content), -1))


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_read_image_keeps_the_shades_of_sixteen_bits(tmp_path, ending):
    ramp = np.linspace(0, 2**16 - 1, 120).astype(np.uint16).reshape(10, 12)
    path = tmp_path / f"ramp.{ending}"
    Image.fromarray(ramp).save(path)
    assert read_header(path) == (10, 12, 1)
    np.testing.assert_array_equal(read_image(path)[..., 0], ramp >> 8)
    np.testing.assert_array_equal(read_image_as(path, (10, 12, 3))[..., 2], ramp >> 8)


def test_read_image_refuses_pixels_of_unknown_range(tmp_path):
    path = tmp_path / "heights.tiff"
    Image.fromarray(np.ones((10, 12), np.float32)).save(path)
    with pytest.raises(InputError, match=r"heights\.tiff .*a range that is not known"):
        read_image(path)


def test_read_image_refuses_a_png_with_changed_pixels(tmp_path):
    """Its decoder stops at the last pixel, before the sum of them; the file's own sum tells."""
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, compress_level=0)
    np.testing.assert_array_equal(read_image(path), pixels)
    content = bytearray(path.read_bytes())
    stream = content.index(b"IDAT") + 4
    content[stream + 2] = 0  # not the last block of the stream
    content[stream + 12] ^= 255  # a pixel
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read the image .*a\.png"):
        read_image(path)


def test_find_images_in_a_folder_and_below_it(tmp_path):
    folder = tmp_path / "found"
    here, below = (
        ("b.png", "a.JPG", "a.txt", "c"),
        ("below/d.png", "Below/z.gif", "below.png/x.bmp"),
    )
    for name in here + below:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "e.png").touch()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "link.png").symlink_to(tmp_path / "elsewhere" / "e.png")
    (folder / "broken.png").symlink_to(tmp_path / "nowhere.png")
    flat = [folder / name for name in ("a.JPG", "b.png", "link.png")]
    assert find_images(folder) == flat
    deep = [folder / name for name in below]
    assert find_images(folder, deep=True) == sorted(flat + deep)
    assert find_images(tmp_path / "nowhere", deep=True) == []
    with pytest.raises(FileNotFoundError):
        find_images(tmp_path / "nowhere")
