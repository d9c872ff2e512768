"""Photographs are the right way up, however the camera was held; damaged pixels are refused."""

import errno
import io
import sys
import types
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image, ImageFile, ImageOps

from semisup.data import lazy_images
from semisup.data.image_io import (
    Reading,
    ValueRange,
    describe_skipped,
    find_images,
    formats,
    read_header,
    read_image,
    read_image_as,
    reading,
)
from semisup.data.image_io.values import FULL, upright
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
    assert find_images(tmp_path).images == [path]
    np.testing.assert_array_equal(read_image(path), wanted)
    assert read_header(path) == (*wanted.shape, False)
    left_half = read_image(path, box=(0, 0, 10, wanted.shape[0]))
    np.testing.assert_array_equal(left_half, wanted[:, :10])


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_read_image_undoes_each_orientation_of_uncompressed_tiff(tmp_path, mode, orientation):
    """Pillow maps those modes into memory when it opens a file by its name."""
    grey = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    image = Image.fromarray(grey.astype(np.uint16) * 257 if mode == "I;16" else grey)
    image = image if mode == "I;16" else image.convert(mode)
    path = tmp_path / "scan.tif"
    image.save(path, tiffinfo={ORIENTATION: orientation})
    wanted = UPRIGHT[orientation](grey[..., None])
    read = read_image(path)
    assert read_header(path)[:3] == read.shape
    np.testing.assert_array_equal(read, np.broadcast_to(wanted, read.shape))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_turns_arrays_as_pillow_turns_images(orientation, dtype):
    shape = (20, 30, 3)
    stored = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    channels = []
    for channel in np.moveaxis(stored, 2, 0):  # Pillow has no colours of 16 bits
        image = Image.fromarray(np.ascontiguousarray(channel))
        image.getexif()[ORIENTATION] = orientation
        channels.append(np.asarray(ImageOps.exif_transpose(image)))
    turned = upright(stored, orientation)
    assert turned.dtype == dtype
    np.testing.assert_array_equal(turned, np.stack(channels, axis=2))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_read_image_keeps_all_bits_of_a_turned_colour_tiff(tmp_path, orientation):
    values = np.random.default_rng(0).integers(0, 4096, (6, 9, 3)).astype(np.uint16)
    path = tmp_path / "camera.tif"
    extra = [(ORIENTATION, "H", 1, orientation, True)]
    tifffile.imwrite(path, values, photometric="rgb", extratags=extra)
    read = read_image(path, how=Reading(ValueRange(0, 4095)))
    np.testing.assert_array_equal(read, UPRIGHT[orientation](values // 16))


@pytest.mark.parametrize("channels", [3, 4])
def test_read_image_reads_all_bits_of_colours(tmp_path, channels):
    """Of 12 bits, also with an opacity, whose largest value is then opaque."""
    values = np.random.default_rng(0).integers(0, 4096, (6, 9, channels)).astype(np.uint16)
    values[..., 3:] = 4095
    path = tmp_path / "camera.tif"
    extra = ["unassalpha"] * (channels - 3)
    tifffile.imwrite(path, values, photometric="rgb", extrasamples=extra)
    read = read_image(path, how=Reading(ValueRange(0, 4095)))
    np.testing.assert_array_equal(read, values[..., :3] // 16)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_read_image_reads_all_bits_of_channels_one_after_the_other(tmp_path, channels, compression):
    values = np.random.default_rng(0).integers(0, 2**16, (channels, 6, 9)).astype(np.uint16)
    values[3:] = 65535
    extra = ["unassalpha"] * (channels - 3)
    form = {"photometric": "rgb", "planarconfig": "separate", "extrasamples": extra}
    tifffile.imwrite(tmp_path / "planes.tif", values, compression=compression, **form)
    wanted = np.moveaxis(values[:3], 0, 2) >> 8
    assert read_header(tmp_path / "planes.tif") == (6, 9, 3, True)
    np.testing.assert_array_equal(read_image(tmp_path / "planes.tif"), wanted)


def test_read_image_refuses_what_pillow_would_misread(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    inks = random.integers(0, 2**16, (4, 6, 9)).astype(np.uint16)
    form = {"photometric": "separated", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "inks.tif", inks, **form)
    with pytest.raises(InputError, match=r"inks.tif .*separate channels of 16 bits; save it as"):
        read_image(tmp_path / "inks.tif")
    tifffile.imwrite(tmp_path / "signed.tif", random.integers(-60, 60, (6, 9)).astype(np.int8))
    with pytest.raises(InputError, match=r"signed.tif .*signed 8-bit numbers"):
        read_image(tmp_path / "signed.tif")
    colours = inks[:3]
    form = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "planes.tif", colours, **form)
    monkeypatch.setattr(tifffile, "imread", None)  # cannot be called
    with pytest.raises(InputError, match=r"planes.tif .*`pip install tifffile` reads them"):
        read_image(tmp_path / "planes.tif")


def test_read_image_takes_5_and_6_bits_a_colour_for_8(tmp_path):
    red, green = 31 << 11, 63 << 5
    row = np.array([red, green, 0, red], "<u2").tobytes()
    header = (54 + 16).to_bytes(4, "little")
    sizes = [40, 4, 1, 1 | 16 << 16, 3, 8, 0, 0, 0, 0]  # one plane, 16 bits, their masks follow
    parts = [b"BM", (78).to_bytes(4, "little"), bytes(4), header]
    parts += [number.to_bytes(4, "little") for number in (*sizes, 31 << 11, 63 << 5, 31, 0)]
    (tmp_path / "camera.bmp").write_bytes(b"".join(parts) + row)
    assert read_header(tmp_path / "camera.bmp") == (1, 4, 3, False)
    pixels = read_image(tmp_path / "camera.bmp")[0].tolist()
    assert pixels == [[255, 0, 0], [0, 255, 0], [0, 0, 0], [255, 0, 0]]


def test_read_image_inverts_16_bits_as_8_where_0_is_white(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**16, (6, 9)).astype(np.uint16)
    upper = (values >> 8).astype(np.uint8)
    for name, content in (("16.tif", values), ("8.tif", upper)):
        tifffile.imwrite(tmp_path / name, content, photometric="miniswhite")
    wanted = read_image(tmp_path / "8.tif")
    np.testing.assert_array_equal(wanted[..., 0], 255 - upper)
    np.testing.assert_array_equal(read_image(tmp_path / "16.tif"), wanted)


def test_read_values_of_32_bits_without_a_sign(tmp_path):
    values = np.array([[0, 1, 2**31, 2**32 - 1]], np.uint32)
    tifffile.imwrite(tmp_path / "counts.tif", values)
    found = reading.read_values(tmp_path / "counts.tif", Reading())
    assert (found.minimum, found.maximum, found.integers) == (0, 2**32 - 1, True)


def test_read_image_does_not_guess_the_scale_of_fits(tmp_path):
    (tmp_path / "star.fits").write_bytes(b"SIMPLE  =                    T".ljust(2880))
    assert find_images(tmp_path).images == []
    with pytest.raises(InputError, match="no image of a known format"):
        read_image(tmp_path / "star.fits")


def test_read_image_reads_all_bits_of_the_first_page(tmp_path, caplog):
    pages = np.random.default_rng(0).integers(0, 4096, (3, 6, 9, 3)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "page.tif", pages[0], photometric="rgb")
    read_image(tmp_path / "page.tif", how=Reading(ValueRange(0, 4095)))
    assert caplog.text == ""
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="rgb")
    read = read_image(tmp_path / "pages.tif", how=Reading(ValueRange(0, 4095)))
    np.testing.assert_array_equal(read, pages[0] // 16)
    assert "pages.tif has several pages, of which only the first is read" in caplog.text
    caplog.clear()
    with tifffile.TiffWriter(tmp_path / "thumb.tif") as file:
        file.write(pages[0], photometric="rgb")
        file.write(pages[0, ::2, ::2], photometric="rgb", subfiletype=1)
    read = read_image(tmp_path / "thumb.tif", how=Reading(ValueRange(0, 4095)))
    np.testing.assert_array_equal(read, pages[0] // 16)
    assert caplog.text == ""


@pytest.mark.parametrize("alpha", ["unassalpha", "assocalpha"])
def test_read_image_puts_16_bits_on_white_as_it_puts_8(tmp_path, alpha):
    """Half-transparent red, also premultiplied, beside transparent black."""
    red, faint = (32768, 4096) if alpha == "assocalpha" else (65535, 65535)
    values = [[[red, 0, 0, 32768], [0, 0, 0, 0]]] * 8
    values = np.array([*values, [[faint, 0, 0, 4096], [65535, 0, 0, 65535]]], np.uint16)
    for name, content in (("16.tif", values), ("8.tif", (values // 257).astype(np.uint8))):
        tifffile.imwrite(tmp_path / name, content, photometric="rgb", extrasamples=[alpha])
    read, wanted = (read_image(tmp_path / name).astype(int) for name in ("16.tif", "8.tif"))
    assert wanted[0].tolist() == [[255, 128, 128], [255, 255, 255]]
    assert np.abs(read - wanted).max() <= 1


def test_read_image_reads_16_bits_of_cmyk_as_8(tmp_path):
    inks = np.random.default_rng(0).integers(0, 2**16, (6, 9, 4)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "16.tif", inks, photometric="separated")
    upper = Image.fromarray((inks >> 8).astype(np.uint8), mode="CMYK")
    upper.save(tmp_path / "8.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "16.tif"), read_image(tmp_path / "8.tif"))


@pytest.mark.parametrize(
    ("trained_on", "brightest", "become"),
    [
        (Reading(FULL), 4096, "at most 15"),
        (Reading(FULL, assumed=True), 2**14, "at most 63"),
        (Reading(ValueRange(0, 255)), 4096, "255"),
    ],
)
def test_read_image_as_warns_of_another_range_of_values(
    tmp_path, caplog, trained_on, brightest, become
):
    values = np.random.default_rng(0).integers(1000, brightest, (6, 9)).astype(np.uint16)
    values[0, 0] = brightest - 1
    Image.fromarray(values).save(tmp_path / "camera.png")
    read_image_as(tmp_path / "camera.png", (6, 9, 1), Reading(ValueRange(0, brightest - 1)))
    assert caplog.text == ""
    read_image_as(tmp_path / "camera.png", (6, 9, 1), trained_on)
    words = "camera.png has values with more than 8 bits, and all of them become"
    assert f"{words} {become} of 255" in caplog.text


def test_read_image_warns_of_lost_bits(tmp_path, monkeypatch, caplog):
    values = np.random.default_rng(0).integers(0, 4096, (6, 9, 3)).astype(np.uint16)
    path = tmp_path / "camera.tif"
    tifffile.imwrite(path, values, photometric="rgb", compression="zlib")

    def cannot(file):
        raise ValueError("requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile, "imread", cannot)
    read_image(path)
    assert "only the upper 8 of 16 bits of" in caplog.text
    assert "camera.tif can be read, 16 of 256 levels" in caplog.text
    caplog.clear()
    tifffile.imwrite(path, values * 16, photometric="rgb", compression="zlib")
    np.testing.assert_array_equal(read_image(path), values // 16)
    assert caplog.text == ""
    bright = 30_000 + values // 32
    tifffile.imwrite(path, bright.astype(np.uint16), photometric="rgb", compression="zlib")
    read_image(path)
    assert "can be read, 1 of 256 levels" in caplog.text
    # The opacity is there in any case.
    clear = np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1)
    tifffile.imwrite(path, clear, photometric="rgb", extrasamples=["unassalpha"])
    assert (read_image(path) == 255).all()


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
    assert read_header(path) == (*pixels.shape, False)
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
    assert read_header(path) == (10, 12, 1, True)
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


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_find_images_in_a_folder_and_below_it(tmp_path):
    folder = tmp_path / "found"
    touch(folder, "b.png", "a.JPG", "below/d.png", "Below/z.gif", "below.png/x.jfif", "a.txt", "c")
    touch(tmp_path, "elsewhere/e.png", "elsewhere/deep/f.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "link.png").symlink_to(tmp_path / "elsewhere" / "e.png")
    (folder / "broken.png").symlink_to(tmp_path / "nowhere.png")
    names = ("Below/z.gif", "a.JPG", "b.png", "below/d.png", "below.png/x.jfif", "link.png")
    linked = ("linked/deep/f.png", "linked/e.png")
    found = find_images(folder)
    assert found.images == [folder / name for name in (*names, *linked)]
    left_out = {path.name: reason for reason, path in found.skipped}
    assert left_out == {
        "a.txt": ".txt files, which are not images",
        "c": "files without an ending",
        "broken.png": "broken links",
    }
    nowhere = find_images(tmp_path / "nowhere")
    assert not nowhere.images
    assert "can't be read (No such file" in describe_skipped(nowhere.skipped)


def test_find_images_follows_links_without_end_and_reads_each_folder_once(tmp_path):
    touch(tmp_path, "a/x.png", "above.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "here").symlink_to(".")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "a" / "folder").mkdir()
    (tmp_path / "a" / "folder" / "again").symlink_to(tmp_path / "a")
    assert find_images(tmp_path / "a").images == [tmp_path / "a" / "x.png"]
    assert len(find_images(tmp_path).images) == 2


@pytest.mark.parametrize(
    "name",
    [
        *(".ipynb_checkpoints/0.png", "__MACOSX/0.png", "@eaDir/0.png/SYNO_THUMB.jpg", "._0.png"),
        *("deep/.hidden.jpg", "Thumbs.db", "desktop.ini", ".DS_Store", "$RECYCLE.BIN/0.png"),
    ],
)
def test_find_images_passes_over_what_systems_make(tmp_path, name):
    touch(tmp_path, name, "0.png")
    assert find_images(tmp_path).images == [tmp_path / "0.png"]


def test_find_images_names_the_package_that_a_format_needs(tmp_path, monkeypatch):
    touch(tmp_path, "0.HEIC", "1.heic", "2.png", "3.jxl")
    monkeypatch.setattr(formats, "_readers", lambda: {".png": "PNG"})
    line = describe_skipped(find_images(tmp_path).skipped)
    assert "2 .heic files, which need `pip install pillow-heif`" in line
    assert "1 .jxl files, which need `pip install pillow-jxl-plugin`" in line
    with pytest.raises(InputError, match="`pip install pillow-heif` lets such files be read"):
        read_image(tmp_path / "1.heic")


def test_find_images_takes_what_an_installed_plugin_reads(tmp_path, monkeypatch):
    """A package that registers a reader with Pillow when it is told to, as pillow-heif does."""
    plugin = types.ModuleType("pillow_heif")

    def register_heif_opener():
        factory, accept = Image.OPEN["BMP"]
        Image.register_open("HEIF", factory, accept)
        Image.register_extension("HEIF", ".heic")

    plugin.register_heif_opener = register_heif_opener
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    for registry in (Image.OPEN, Image.EXTENSION):
        monkeypatch.setattr(Image, "OPEN" if registry is Image.OPEN else "EXTENSION", {**registry})
    monkeypatch.setattr(Image, "ID", [*Image.ID])
    formats._readers.cache_clear()
    try:
        pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "0.heic", "BMP")
        assert find_images(tmp_path).images == [tmp_path / "0.heic"]
        np.testing.assert_array_equal(read_image(tmp_path / "0.heic"), pixels)
    finally:
        monkeypatch.undo()
        formats._readers.cache_clear()


@pytest.mark.parametrize("ending", ["jfif", "avif", "jp2", "tga", "qoi", "ico", "pnm", "dib"])
def test_read_image_reads_what_pillow_reads(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    Image.new("RGB", (16, 16), (200, 100, 50)).save(path)
    assert find_images(tmp_path).images == [path]
    assert np.abs(read_image(path).astype(int) - (200, 100, 50)).max() <= 6


def test_read_image_starts_no_program(tmp_path):
    path = tmp_path / "drawing.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(InputError, match="it is no image of a known format"):
        read_image(path)
    path.rename(tmp_path / "drawing.eps")
    assert not find_images(tmp_path).images


def alpha_ramp():
    """A black drawing that is all in the opacity, and what it looks like on paper."""
    opacity = np.linspace(0, 255, 20).astype(np.uint8).reshape(4, 5)
    return np.zeros_like(opacity), opacity, 255 - opacity


@pytest.mark.parametrize("mode", ["LA", "RGBA", "16-bit LA", "16-bit RGBA"])
def test_read_image_shows_what_is_transparent_as_white(tmp_path, mode):
    black, opacity, wanted = alpha_ramp()
    path, channels = tmp_path / "a.png", 3 if "RGB" in mode else 1
    pixels = np.stack([black] * channels + [opacity], axis=-1)
    if "16" in mode:
        path.write_bytes(tf.io.encode_png(pixels.astype(np.uint16) * 257).numpy())
    else:
        Image.fromarray(pixels).save(path)
    assert read_header(path)[2] == channels
    read = read_image(path)
    assert read.shape == (4, 5, channels)
    assert np.abs(read[..., 0].astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "I;16", "PA"])
def test_read_image_shows_a_transparent_colour_as_white(tmp_path, mode):
    path = tmp_path / ("a.tiff" if mode == "PA" else "a.png")
    pixels = np.zeros((4, 5), np.uint16 if mode == "I;16" else np.uint8)
    pixels[1] = 7 if mode == "P" else 200
    image = Image.fromarray(pixels)
    if mode == "PA":
        image = image.convert("P").convert("PA")
        image.putalpha(Image.fromarray((pixels > 0).astype(np.uint8) * 255))
        image.convert("RGBA").save(path)
    else:
        image = image.convert(mode) if mode in ("P", "RGB") else image
        image.save(path, transparency=(0, 0, 0) if mode == "RGB" else 0)
    read = read_image(path)
    assert (read[0] == 255).all()
    assert (read[1] < 255).all()


def test_read_image_shows_a_transparent_colour_of_16_bits_as_white(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**15, (4, 5, 3)).astype(np.uint16)
    content = tf.io.encode_png(values).numpy()
    key = b"tRNS" + values[1, 2].astype(">u2").tobytes()
    chunk = b"\0\0\0\x06" + key + zlib.crc32(key).to_bytes(4, "big")
    at = content.index(b"IDAT") - 4
    path = tmp_path / "a.png"
    path.write_bytes(content[:at] + chunk + content[at:])
    wanted = values >> 8
    wanted[1, 2] = 255
    np.testing.assert_array_equal(read_image(path), wanted)


def of_two_classes(folder, number, name):
    """The path of a training image in turn of the class a and b, whose folder is made."""
    path = folder / "train" / "ab"[number % 2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def many_bits(path, values, maxval=65535):
    """Values with more than 8 bits, written as the ending says."""
    if path.suffix in (".pgm", ".ppm"):
        kind = b"P5" if values.ndim == 2 else b"P6"
        header = b"%s\n%d %d\n%d\n" % (kind, values.shape[1], values.shape[0], maxval)
        path.write_bytes(header + values.astype(">u2").tobytes())
    elif values.ndim == 3 and path.suffix == ".png":
        path.write_bytes(tf.io.encode_png(values).numpy())
    elif values.ndim == 3:
        tifffile.imwrite(path, values, photometric="rgb")
    elif path.suffix == ".tif":  # the bytes of each value the other way round
        tifffile.imwrite(path, values, byteorder=">")
    else:
        Image.fromarray(values).save(path)


KINDS = ("png", "tiff", "tif", "pgm", "rgb.png", "rgb.tiff", "rgb.ppm")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("minimum", "most"), [(0, 179), (0, 4095), (30_000, 30_200), (9, 65_535)])
def test_load_folder_scales_many_bits_alike_in_all_images(tmp_path, caplog, kind, minimum, most):
    values = np.random.default_rng(0).integers(minimum, most + 1, (6, 4, 5), dtype=np.uint16)
    values[0, 0, :2] = minimum, most
    if "rgb" in kind:
        values = np.stack([values, values, values], axis=-1)
    for i, each in enumerate(values):
        path = of_two_classes(tmp_path, i, f"{i}.{kind}")
        many_bits(path, each)
    dataset = load_folder(tmp_path)
    black, white = {179: (0, 255), 4095: (0, 4095), 30_200: (minimum, most)}.get(most, (0, 65535))
    assert dataset.values_in == (black, white)
    wanted = (values.astype(int) - black) * 256 // (white - black + 1)
    for i, path in enumerate(dataset.train_files):
        expected = wanted[int(path.name.split(".")[0])].reshape(4, 5, -1)
        np.testing.assert_array_equal(dataset.train_images[i], expected)
        how = Reading(dataset.values_in)  # as at prediction
        np.testing.assert_array_equal(
            read_image_as(path, dataset.image_shape, how), dataset.train_images[i]
        )
    assert ("is mapped to 0 to 255" in caplog.text) == (white != 65535)


def test_load_folder_reads_a_pgm_by_its_largest_value(tmp_path):
    for i in range(4):
        path = of_two_classes(tmp_path, i, f"{i}.pgm")
        many_bits(path, np.array([[0, 2048, 4095]], np.uint16), maxval=4095)
    dataset = load_folder(tmp_path)
    assert dataset.values_in == (0, 65535)
    np.testing.assert_array_equal(dataset.train_images[0][0, :, 0], [0, 128, 255])


@pytest.mark.parametrize(
    ("low", "high", "wanted"), [(0.0, 1.0, (0, 1)), (0.0, 200.0, (0, 255)), (-3.0, 9.0, (-3, 9))]
)
def test_load_folder_scales_floats_by_the_set(tmp_path, low, high, wanted):
    for i in range(4):
        path = of_two_classes(tmp_path, i, f"{i}.tiff")
        values = np.array([[low, high, np.nan, (low + high) / 2]], np.float32)
        Image.fromarray(values).save(path)
    dataset = load_folder(tmp_path, skip_unreadable=True)
    assert dataset.values_in == wanted
    span = wanted[1] - wanted[0]
    got = dataset.train_images[0][0, :, 0].astype(float)
    np.testing.assert_allclose(got[[0, 1, 3]] / 255 * span + wanted[0], values[0, [0, 1, 3]],
                               atol=span / 250)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.float32])
def test_load_folder_reads_32_bits_whose_range_is_that_of_16(tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 60_000, (4, 9, 9)).astype(dtype)
    values[0, 0, :2] = 0, 65_535
    for i, each in enumerate(values):
        path = of_two_classes(tmp_path, i, f"{i}.tif")
        tifffile.imwrite(path, each)
    dataset = load_folder(tmp_path)
    assert dataset.values_in == (0, 65535)
    for path, image in zip(dataset.train_files, dataset.train_images, strict=True):
        wanted = values[int(path.stem)] * 256.0 // 65536
        assert np.abs(image[..., 0] - wanted).max() <= (dtype is np.float32)  # rounded, not cut


def test_load_folder_warns_of_one_bright_pixel_among_dark_ones(tmp_path, caplog):
    for i in range(4):
        values = np.full((60, 60), 90, np.uint16)
        values[0, 0] = 65_000
        path = of_two_classes(tmp_path, i, f"{i}.png")
        many_bits(path, values)
    load_folder(tmp_path)
    assert "nearly all values of these images are below 90" in caplog.text


@pytest.mark.parametrize(("mode", "wanted"), [("1", [0, 255]), ("CMYK", [0, 255]), ("P", [0, 255])])
def test_read_image_reads_other_modes(tmp_path, mode, wanted):
    path = tmp_path / "a.tiff"
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("RGB").convert(mode).save(path)
    np.testing.assert_array_equal(read_image(path)[0, :, 0], wanted)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_read_image_reads_one_large_image_at_a_time(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(reading, "_LARGE", 10_000)
    path = tmp_path / f"a.{ending}"
    Image.effect_noise((400, 320), 90).convert("RGB").save(path)
    decoded, locked = [], []
    load = ImageFile.ImageFile.load

    def watched(image):
        decoded.append(image.size)
        locked.append(reading._one_large_image.locked())
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", watched)
    assert read_image(path, 16).shape == (16, 16, 3)
    assert decoded[0] == ((50, 40) if ending == "jpg" else (400, 320))
    assert all(locked)
    assert not reading._one_large_image.locked()


def test_a_file_of_a_drive_that_is_gone_is_one_line(tmp_path, monkeypatch):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")

    def gone(*_, **__):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(reading, "_decoded", gone)
    monkeypatch.setattr(Path, "stat", gone)
    with pytest.raises(InputError, match=r"cannot read the image .*a\.png .*Stale file handle"):
        read_image_as(tmp_path / "a.png", (4, 4, 1))


def test_an_image_for_which_the_memory_is_too_small_is_not_called_damaged(tmp_path, monkeypatch):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(reading, "_decoded", full)
    with pytest.raises(MemoryError):
        read_image_as(tmp_path / "a.png", (4, 4, 1))
