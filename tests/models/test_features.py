"""Features of a frozen backbone: the same as Keras computes, each computed once."""

import dataclasses
import os
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from semisup.data.lazy_images import ImageFiles
from semisup.errors import InputError
from semisup.models import backbones, features

IMAGES = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 3), dtype=np.uint8)


def make_backbone(scale: float = 1 / 255, seed: int = 0, activation: str = "relu") -> keras.Model:
    """A small one that scales its pixels by an operation, as keras.applications do."""
    keras.utils.set_random_seed(seed)
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(images * scale)
    x = keras.layers.Activation(activation)(keras.layers.BatchNormalization(name="norm")(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


class Counted:
    """A backbone, and how many images it has computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, backbone: keras.Model) -> None:
        self.images, self.backbone = 0, backbone
        compute = features._compute

        def counted(model, pixels):
            self.images += len(pixels)
            return compute(model, pixels)

        monkeypatch.setattr(features, "_compute", counted)

    def computes(self, images, cache: Path) -> int:
        """How many of the images it computes, whose features must be right."""
        self.images = 0
        found = features.extract(self.backbone, images, cache)
        computed = self.images
        wanted = features.extract(self.backbone, np.asarray(images))
        np.testing.assert_array_equal(found, wanted)
        return computed


def shards(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/*.npz"))


@pytest.fixture
def counted(monkeypatch):
    return Counted(monkeypatch, make_backbone())


def test_extract_gives_what_the_backbone_predicts(tmp_path):
    backbone = make_backbone()
    wanted = backbone.predict(IMAGES, verbose=0)
    for cache in (None, tmp_path, tmp_path):
        found = features.extract(backbone, IMAGES, cache)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert len(shards(tmp_path)) == 1


def test_extract_gives_an_image_the_same_features_in_any_company(tmp_path):
    backbone = make_backbone()
    wanted = features.extract(backbone, IMAGES)
    for images in (IMAGES[:1], IMAGES[:7], IMAGES):
        found = features.extract(backbone, images, tmp_path)
        np.testing.assert_array_equal(found, wanted[: len(images)])


def test_extract_refuses_features_that_are_not_finite(tmp_path):
    backbone = make_backbone()
    backbone.get_layer("conv").kernel.assign(np.full((3, 3, 3, 4), np.nan))
    with pytest.raises(InputError, match="features of 64 of 64 images are not finite"):
        features.extract(backbone, IMAGES, tmp_path)
    assert not shards(tmp_path)


def test_extract_says_in_a_line_that_the_memory_is_too_small(monkeypatch):
    def exhausted(_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore")

    backbone = make_backbone()
    monkeypatch.setattr(backbone, "predict_on_batch", exhausted)
    with pytest.raises(InputError, match="fit into the memory: OOM when allocating; try a"):
        features.extract(backbone, IMAGES)


def test_extract_refuses_a_backbone_without_pooling():
    images = keras.Input((8, 8, 3))
    backbone = keras.Model(images, keras.layers.Conv2D(2, 3)(images))
    with pytest.raises(InputError, match=r"must give features \[batch, F\].*6, 6, 2"):
        features.extract(backbone, IMAGES)


def test_extract_computes_each_image_once(counted, tmp_path):
    assert counted.computes(IMAGES[:-1], tmp_path) == 69
    assert counted.computes(IMAGES[:-1], tmp_path) == 0
    assert counted.computes(IMAGES[:-1][::-1], tmp_path) == 0
    assert counted.computes(IMAGES, tmp_path) == 1
    assert counted.computes(IMAGES, tmp_path) == 0


def test_extract_goes_on_where_it_was_stopped(counted, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "_SHARD_SIZE", 20)
    monkeypatch.setattr(features, "_BATCH_SIZE", 10)
    compute = features._compute

    def stopped(*arguments):
        if counted.images >= 40:
            raise KeyboardInterrupt
        return compute(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(features, "_compute", stopped)
        features.extract(counted.backbone, IMAGES, tmp_path)
    assert counted.computes(IMAGES, tmp_path) == 30


def test_extract_knows_a_backbone_made_again_whatever_keras_calls_its_layers(tmp_path, monkeypatch):
    first = make_backbone()
    features.extract(first, IMAGES, tmp_path)
    again = make_backbone()
    assert first.layers[1].name != again.layers[1].name or first.name != again.name
    assert Counted(monkeypatch, again).computes(IMAGES, tmp_path) == 0
    # Nor does it matter whether it comes from a file.
    again.save(tmp_path / "mine.keras")
    path = str(tmp_path / "mine.keras")
    one, two = (backbones.build(path, (8, 8, 3)).features for _ in range(2))
    features.extract(one, IMAGES, tmp_path)
    assert Counted(monkeypatch, two).computes(IMAGES, tmp_path) == 0


@pytest.mark.parametrize(
    "change", ({"scale": 1 / 127.5}, {"seed": 1}, {"activation": "tanh"}, {"weight": "norm"})
)
def test_extract_computes_anew_with_another_backbone(change, tmp_path, monkeypatch):
    features.extract(make_backbone(), IMAGES, tmp_path)
    layer = change.pop("weight", None)
    other = make_backbone(**change)
    if layer:
        other.get_layer(layer).moving_mean.assign(np.full(4, 0.1))
    assert Counted(monkeypatch, other).computes(IMAGES, tmp_path) == 70


def test_extract_tells_the_preprocessing_of_applications_apart(tmp_path, monkeypatch):
    # ResNet's preprocessing consists of operations, which are no layers.
    built = backbones.build("keras:MobileNetV3Small", (32, 32, 3)).features
    images = keras.Input((32, 32, 3))
    resnet = keras.applications.resnet50.preprocess_input(images)
    torch = keras.applications.imagenet_utils.preprocess_input(images, mode="torch")
    [network] = [layer for layer in built.layers if isinstance(layer, keras.Model)]
    digests = {
        features._digest_of_model(keras.Model(images, network(pixels)))
        for pixels in (images, resnet, torch, images / 127.5, images / 127.0)
    }
    assert len(digests) == 5


def test_extract_tells_precisions_apart(tmp_path):
    digests = set()
    for policy in ("float32", "mixed_bfloat16"):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            backbone = make_backbone()
        finally:
            keras.config.set_dtype_policy(before)
        digests.add(features._digest_of_model(backbone))
        found = features.extract(backbone, IMAGES, tmp_path)
        assert found.dtype == np.float32
        wanted = np.asarray(backbone.predict(IMAGES, verbose=0), np.float32)
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert len(digests) == 2
    assert len(shards(tmp_path)) == 2


def write_files(folder: Path) -> ImageFiles:
    paths = [folder / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, IMAGES, strict=False):
        Image.fromarray(image).save(path)
    return ImageFiles(np.array(paths, object), (8, 8, 3))


def test_extract_knows_images_in_files_by_these(counted, tmp_path, monkeypatch):
    cache, photos = tmp_path / "cache", tmp_path / "photos"
    photos.mkdir()
    images = write_files(photos)
    assert counted.computes(images, cache) == 5
    with monkeypatch.context() as patch:
        patch.setattr(ImageFiles, "_read", None)  # no file is opened
        features.extract(counted.backbone, images, cache)
    os.utime(images.places[3], (1e9, 1e9))
    assert counted.computes(images, cache) == 1
    Image.fromarray(IMAGES[9]).save(images.places[2])
    os.utime(images.places[2], (2e9, 2e9))
    assert counted.computes(images, cache) == 1
    # Resized to the size that they have, they are the same images; to another one, others.
    assert counted.computes(dataclasses.replace(images, new_size=8), cache) == 0
    smaller = dataclasses.replace(images, new_size=4, image_shape=(4, 4, 3))
    assert smaller.identity(0) != images.identity(0)
    images.places[1].unlink()
    with pytest.raises(InputError, match=r"cannot read the image .*1\.png: No such file"):
        features.extract(counted.backbone, images, cache)


def truncate(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-200])


def flip(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)


def empty(shard: Path) -> None:
    shard.write_bytes(b"")


def make_folder(shard: Path) -> None:
    shard.unlink()
    shard.mkdir()
    (shard / "file").touch()


def make_dangling(shard: Path) -> None:
    shard.unlink()
    shard.symlink_to("nowhere")


def rewrite(**changes):
    """A shard whose arrays are changed; None leaves one out."""

    def write(shard: Path) -> None:
        with np.load(shard) as content:
            arrays = dict(content)
        for name, change in changes.items():
            if change is None:
                del arrays[name]
            else:
                arrays[name] = change(arrays[name])
        np.savez(shard, **arrays)

    return write


DAMAGES = {
    "truncated": truncate,
    "flipped": flip,
    "empty": empty,
    "folder": make_folder,
    "dangling link": make_dangling,
    "text": lambda shard: shard.write_text("no archive"),
    "foreign": lambda shard: np.savez(shard, images=IMAGES),
    "foreign digests": rewrite(digests=lambda a: a.astype(np.int64)),
    "scalar digests": rewrite(digests=lambda _: np.uint8(3)),
    "text digests": rewrite(digests=lambda _: np.array(["a", "b"])),
    "fewer digests": rewrite(digests=lambda a: a[1:]),
    "more features": rewrite(features=lambda a: np.concatenate([a, a], axis=1)),
    "flat features": rewrite(features=lambda a: a[:, 0]),
    "float64 features": rewrite(features=lambda a: a.astype(np.float64)),
    "pickled features": rewrite(features=lambda a: a.astype(object)),
    "no features": rewrite(features=None),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_extract_makes_a_damaged_shard_again(damage, counted, tmp_path, caplog):
    features.extract(counted.backbone, IMAGES, tmp_path)
    [shard] = shards(tmp_path)
    damage(shard)
    assert counted.computes(IMAGES, tmp_path) == 70
    assert "computed again" in caplog.text
    assert shards(tmp_path) == [shard]
    assert counted.computes(IMAGES, tmp_path) == 0


def test_extract_reads_no_features_of_shards_that_have_none_of_its_images(
    counted, tmp_path, monkeypatch
):
    features.extract(counted.backbone, IMAGES[:5], tmp_path)
    read, asked = features.npz.read_npz, []
    monkeypatch.setattr(
        features.npz, "read_npz", lambda path, only: asked.extend(only) or read(path, only)
    )
    features.extract(counted.backbone, IMAGES[5:9], tmp_path)
    assert asked == ["digests"]
    features.extract(counted.backbone, IMAGES[3:7], tmp_path)
    assert asked == ["digests"] + ["digests", "features"] * 2


def test_extract_is_right_whatever_byte_of_a_shard_is_flipped(counted, tmp_path):
    images = IMAGES[:2]
    wanted = features.extract(counted.backbone, images, tmp_path)
    [shard] = shards(tmp_path)
    content = shard.read_bytes()
    digests = features._digests_of_images(images)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        shard.write_bytes(damaged)
        found = np.full_like(wanted, np.nan)
        missing = features._read(shard.parent, digests, found)
        assert len(missing) == 2 or np.array_equal(found, wanted), place


def test_extract_works_without_permission(counted, tmp_path, monkeypatch, caplog):
    features.extract(counted.backbone, IMAGES, tmp_path)
    [shard] = shards(tmp_path)

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    # As root, these tests may do anything, so it is the calls that refuse.
    with monkeypatch.context() as patch:
        for name in ("utime", "unlink", "mkdir", "rename", "replace"):
            patch.setattr(os, name, refused)
            if hasattr(Path, name):  # which has taken them from os already in Python 3.10
                patch.setattr(Path, name, refused)
        assert counted.computes(IMAGES, tmp_path) == 0
        assert not caplog.text
        truncate(shard)
        assert counted.computes(IMAGES, tmp_path) == 70
        assert "Permission denied" in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(np, "load", refused)
        assert counted.computes(IMAGES, tmp_path) == 70
    assert counted.computes(IMAGES, tmp_path) == 0


def test_extract_shares_a_cache_with_other_users(counted, tmp_path, monkeypatch, caplog):
    features.extract(counted.backbone, IMAGES, tmp_path)
    [shard] = shards(tmp_path)
    (tmp_path / "new").touch()
    assert shard.stat().st_mode == (tmp_path / "new").stat().st_mode
    with monkeypatch.context() as patch:  # as root, these tests may read all
        patch.setattr(os, "access", lambda path, mode: False)
        assert counted.computes(IMAGES, tmp_path) == 70
    assert shard.exists()
    assert not caplog.text


def test_extract_works_where_there_can_be_no_folder(counted, tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.touch()
    assert counted.computes(IMAGES, blocked) == 70
    assert counted.computes(IMAGES, blocked / "below") == 70
    assert "cannot write the features to the cache" in caplog.text


def test_extract_keeps_the_cache_within_its_limit(counted, tmp_path, monkeypatch):
    parts = [IMAGES[:20], IMAGES[20:40], IMAGES[40:60]]
    now = time.time()
    for age, part in ((20, parts[0]), (10, parts[1])):
        before = set(shards(tmp_path))
        features.extract(counted.backbone, part, tmp_path)
        [new] = set(shards(tmp_path)) - before
        os.utime(new, (now - age, now - age))
    size = new.stat().st_size
    monkeypatch.setattr(features, "LARGEST_CACHE", int(2.5 * size))
    assert counted.computes(parts[0], tmp_path) == 0  # now the most recently used
    assert counted.computes(parts[2], tmp_path) == 20
    assert sum(shard.stat().st_size for shard in shards(tmp_path)) <= 2.5 * size
    assert counted.computes(parts[0], tmp_path) == 0
    assert counted.computes(parts[1], tmp_path) == 20
    monkeypatch.setattr(features, "LARGEST_CACHE", 0)
    assert counted.computes(IMAGES, tmp_path) > 0
    assert not shards(tmp_path)


def test_extract_removes_nothing_but_its_own(counted, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "LARGEST_CACHE", 0)
    folder = tmp_path / "0123456789abcdef0123456789abcdef"
    abandoned = folder / f"{'0' * 32}x7.tmp"
    written = folder / f"{'0' * 32}x8.tmp"
    others = [tmp_path / "mine" / "data.npz", tmp_path / "mine.npz", folder / "notes.npz", written]
    for path in (*others, abandoned):
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    os.utime(abandoned, (1e9, 1e9))
    features.extract(counted.backbone, IMAGES, tmp_path)
    assert all(path.exists() for path in others)
    assert not abandoned.exists()


def test_extract_leaves_a_file_beside_a_shard_alone(counted, tmp_path, caplog):
    features.extract(counted.backbone, IMAGES, tmp_path)
    [shard] = tmp_path.glob("*/*.npz")
    mine = shard.with_name("notes.npz")  # it is no damaged shard
    mine.write_text("mine")
    features.extract(counted.backbone, IMAGES, tmp_path)
    assert mine.read_text() == "mine" and not caplog.messages


def test_extract_may_run_several_times_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "_SHARD_SIZE", 5)
    monkeypatch.setattr(features, "_BATCH_SIZE", 5)
    monkeypatch.setattr(features, "_compute", lambda _, pixels: pixels[:, 0, 0] + 1.0)
    images = keras.Input((8, 8, 3))
    backbone = keras.Model(images, images[:, 0, 0])
    wanted, failures = IMAGES[:, 0, 0] + 1.0, []

    def run():
        try:
            for count in range(20, 71, 10):
                found = features.extract(backbone, IMAGES[:count], tmp_path)
                np.testing.assert_array_equal(found, wanted[:count])
        except BaseException as error:
            failures.append(error)

    for limit in (1 << 30, 3000):
        monkeypatch.setattr(features, "LARGEST_CACHE", limit)
        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert not list(tmp_path.glob("*/*.tmp"))


def test_default_cache_is_what_the_environment_says(monkeypatch):
    monkeypatch.delenv("SEMISUP_FEATURE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    assert features.default_cache() == Path("/home/ada/.cache/semisup/features")
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch")
    assert features.default_cache() == Path("/scratch/semisup/features")
    monkeypatch.setenv("SEMISUP_FEATURE_CACHE", "~/mine")
    assert features.default_cache() == Path("/home/ada/mine")
    for word in ("none", "None", "NONE"):
        monkeypatch.setenv("SEMISUP_FEATURE_CACHE", word)
        assert features.default_cache() is None
