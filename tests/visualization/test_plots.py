import numpy as np
from matplotlib.figure import Figure

from semisup.visualization.plots import draw_images


def drawn(count, columns, **options):
    axes = Figure().add_subplot()
    images = [np.full((4, 4, 1), 10 * i, np.uint8) for i in range(count)]
    draw_images(axes, images, columns, **options)
    return axes


def test_images_stand_in_rows_of_their_true_shades_and_do_not_overlap():
    axes = drawn(7, 3)
    extents = [image.get_extent() for image in axes.images]
    assert len(extents) == 7
    lefts, tops = ([extent[side] for extent in extents] for side in (0, 3))
    assert lefts[0] == lefts[3] == lefts[6] < lefts[1] < lefts[2]
    assert tops[0] == tops[2] > tops[3] == tops[5] > tops[6]
    assert all(extents[i][1] < extents[i + 1][0] for i in (0, 1, 3, 4))
    assert extents[0][2] > extents[3][3]
    # Not stretched to the full range, which would hide how bright an image is.
    assert {image.get_clim() for image in axes.images} == {(0, 255)}
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    assert left < lefts[0]
    assert right > extents[2][1]
    assert bottom < extents[6][2]
    assert top > tops[0]


def test_words_stand_above_and_corners_upon():
    above = drawn(2, 2, words=["a", "b"])
    upon = drawn(2, 2, corners=["0.98", "0.97"])
    assert [text.get_text() for text in above.texts] == ["a", "b"]
    assert all(
        text.get_position()[1] > image.get_extent()[3]
        for text, image in zip(above.texts, above.images, strict=True)
    )
    for text, image in zip(upon.texts, upon.images, strict=True):
        left, right, bottom, top = image.get_extent()
        x, y = text.get_position()
        assert left < x < (left + right) / 2
        assert (bottom + top) / 2 < y < top


def test_colour_images_stay_in_colour():
    axes = Figure().add_subplot()
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0] = 200
    draw_images(axes, [image], 1)
    np.testing.assert_array_equal(axes.images[0].get_array(), image)
