import hashlib

import numpy as np
from PIL import ImageFont

from semisup.data.registry import load_dataset
from semisup.data.sources import synth_digits
from tests import processes


def test_render_is_a_function_of_seed_and_number():
    images, labels = synth_digits.render(60, seed=3)
    again, _ = synth_digits.render(20, seed=3)
    np.testing.assert_array_equal(images[:20], again)
    other, _ = synth_digits.render(20, seed=4)
    assert not np.any(np.all(images[:20] == other, axis=(1, 2, 3)))
    np.testing.assert_array_equal(labels, np.arange(60) % 10)
    assert images.shape == (60, 32, 32, 3)
    assert len(np.unique(images.reshape(60, -1), axis=0)) == 60


def test_render_draws_the_digit_of_the_label(monkeypatch):
    drawn, colours, mask = [], synth_digits._colours, synth_digits._mask

    def begun(random):
        drawn.append([])
        return colours(random)

    def noted(text, *rest):
        drawn[-1].append(text)
        return mask(text, *rest)

    monkeypatch.setattr(synth_digits, "_colours", begun)
    monkeypatch.setattr(synth_digits, "_mask", noted)
    _, labels = synth_digits.render(30, seed=3)
    assert [digit for digit, *neighbours in drawn] == [str(label) for label in labels]


def test_render_gives_the_same_bytes_in_another_process():
    other = processes.start(print_digest)
    other.join()
    images, _ = synth_digits.render(30, seed=5)
    assert processes.said(other).split()[-1:] == [hashlib.sha256(images.tobytes()).hexdigest()]


def print_digest():
    print(hashlib.sha256(synth_digits.render(30, seed=5)[0].tobytes()).hexdigest())


def test_fonts_draw_ten_different_digits():
    for name in synth_digits._FONTS:
        font = synth_digits._font(name, 24)
        assert isinstance(font, ImageFont.FreeTypeFont)
        masks = [np.asarray(synth_digits._mask(d, font, (16, 16))) for d in "0123456789"]
        assert len({mask.tobytes() for mask in masks}) == 10
        assert all(20 < np.count_nonzero(mask) < 500 for mask in masks)


def test_colours_make_digits_stand_out_from_their_ground():
    for i in range(200):
        ink, ground, _ = synth_digits._colours(np.random.default_rng(i))
        assert abs(np.mean(ink) - np.mean(ground)) >= synth_digits._CONTRAST


def test_load_synth_digits_renders_two_different_sets(monkeypatch):
    monkeypatch.setattr(synth_digits, "TRAIN", 40)
    monkeypatch.setattr(synth_digits, "TEST", 20)
    dataset = load_dataset("synth_digits")
    assert dataset.image_shape == (32, 32, 3)
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (40, 20)
    assert not np.array_equal(dataset.train_images[:20], dataset.test_images)


def test_some_sevens_are_crossed_and_nothing_else_changes(monkeypatch):
    crossed, labels = synth_digits.render(1000, seed=0)
    monkeypatch.setattr(synth_digits, "_CROSSED_SEVENS", 0)
    plain, _ = synth_digits.render(1000, seed=0)
    differ = np.any(crossed != plain, axis=(1, 2, 3))
    assert set(labels[differ]) == {7}
    assert 0.15 < differ[labels == 7].mean() < 0.45


def test_cross_draws_through_the_stem_of_a_seven_in_every_font():
    for name in synth_digits._FONTS:
        for size in (min(synth_digits._FONT_SIZES), max(synth_digits._FONT_SIZES)):
            mask = synth_digits._mask("7", synth_digits._font(name, size), (16, 16))
            before = np.asarray(mask) > 127
            synth_digits._cross(mask, np.random.default_rng(0))
            added = (np.asarray(mask) > 127) & ~before
            rows, columns = np.nonzero(added)
            height = np.flatnonzero(before.any(axis=1))
            assert height[0] + 0.3 * len(height) < rows.mean() < height[0] + 0.8 * len(height)
            stem = np.flatnonzero(before[round(rows.mean())])
            assert columns.min() < stem.min() <= stem.max() < columns.max()  # on both sides
