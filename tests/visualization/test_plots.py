import matplotlib.image
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from semisup.errors import InputError
from semisup.evaluation.metrics import Report
from semisup.visualization import plots
from tests.visualization.sheets import places

IMAGES = np.random.default_rng(1).integers(0, 256, (7, 8, 8, 1), dtype=np.uint8)
NAMES = ("ant", "bee", "cow")
CONFUSION = np.array([[8, 2, 0], [0, 5, 0], [1, 1, 3]])


def drawn(count, columns, **options):
    axes = Figure().add_subplot()
    plots.draw_images(axes, list(IMAGES[:count]), columns, **options)
    return axes


def test_draw_images_puts_them_in_rows_of_their_true_shades():
    axes = drawn(7, 3)
    found = places(axes, IMAGES)
    assert list(found.values()) == list(range(7))
    rows, columns = (sorted({place[axis] for place in found}) for axis in (0, 1))
    assert len(rows) == len(columns) == 3
    assert np.all(np.diff(rows) > 8)  # a gap between them
    assert np.all(np.diff(columns) > 8)
    # Not stretched to the full range, which would hide how bright an image is.
    [picture] = axes.images
    assert picture.get_clim() == (0, 255)
    # White where there is no image.
    assert picture.get_array()[rows[2] + 4, columns[1] :].min() == 255


def test_draw_images_has_captions_above_and_corners_upon():
    above = drawn(2, 2, captions=["a", "b\nc"])
    upon = drawn(2, 2, corners=["0.98", "0.97"])
    assert [text.get_text() for text in above.texts] == ["a", "b\nc"]
    assert [text.get_text() for text in upon.texts] == ["0.98", "0.97"]
    for (top, left), text in zip(places(above, IMAGES), above.texts, strict=True):
        x, y = text.get_position()
        assert x == left + 4
        assert 4 < y < top  # the rows are counted downwards; with space for two lines
    for (top, left), text in zip(places(upon, IMAGES), upon.texts, strict=True):
        x, y = text.get_position()
        assert left < x < left + 4
        assert top < y < top + 4


@pytest.mark.parametrize("shape", [(4, 16), (16, 4)])
def test_draw_images_has_room_for_captions_of_long_images(shape):
    images = np.full((2, *shape, 1), 7, np.uint8)
    axes = Figure().add_subplot()
    plots.draw_images(axes, images, 2, captions=["a", "b"])
    [picture] = axes.images
    assert np.sum(picture.get_array() == 7) == 2 * 4 * 16
    (one, y), (other, again) = (text.get_position() for text in axes.texts)
    assert other - one >= 16 and y == again


def test_draw_images_frames_right_and_wrong_ones_differently():
    axes = drawn(3, 3, right=[True, False, True])
    frames = axes.patches
    assert [frame.get_edgecolor() for frame in frames] == [
        matplotlib.colors.to_rgba(colour) for colour in (plots.BLUE, plots.ORANGE, plots.BLUE)
    ]
    assert [frame.get_linestyle() for frame in frames][::2] == ["-", "-"]
    assert frames[1].get_linestyle() != "-"  # told apart without colours, too
    corners = [frame.get_xy()[::-1] for frame in frames]
    assert corners == list(places(axes, IMAGES))


def test_draw_images_keeps_colours_and_takes_none():
    axes = Figure().add_subplot()
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0] = 200
    plots.draw_images(axes, [image], 1)
    np.testing.assert_array_equal(axes.images[0].get_array()[1:5, 1:5], image)
    axes = drawn(0, 3, captions=[])
    assert len(axes.images) == 0


@pytest.mark.parametrize(
    "kind",
    [
        *(lambda x: x, lambda x: x.astype(np.int64), lambda x: x.astype(np.float32), list),
        *(lambda x: x / 255.0, lambda x: x / 254.9),  # the last as of a rounding error
    ],
)
def test_drawable_gives_images_of_any_type_their_shades(kind):
    found = plots.drawable(kind(IMAGES))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, IMAGES)


def test_drawable_goes_by_all_images_and_takes_whole_numbers_as_they_are():
    dark = np.ones((2, 4, 4, 1)) * [[[[0.4]]], [[[200.0]]]]
    assert plots.drawable(dark)[:, 0, 0, 0].tolist() == [0, 200]
    assert plots.drawable(dark[:1]).max() == 102
    assert plots.drawable(np.ones((1, 4, 4, 1), np.int32)).max() == 1
    assert plots.drawable(np.ones((1, 4, 4, 1), bool)).max() == 255


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (IMAGES - 3.0, r"in \[0, 255\], or all in \[0, 1\], but go from -3 to"),
        (IMAGES / 100.0 - 1.0, "but go from -1 to 1.5"),
        (IMAGES.astype(np.uint16) * 257, "but go from 0 to 65535; divide those of 16 bits by 257"),
        (np.where(IMAGES > 9, IMAGES, np.nan), "but go from nan to nan"),
        (IMAGES[..., 0], r"must be \[N, H, W, 1 or 3\], but are \(7, 8, 8\); give images\["),
        (np.zeros((2, 4, 4, 4), np.uint8), r"but are \(2, 4, 4, 4\)"),
        ([IMAGES[0], IMAGES[0, 1:]], "the images differ in size"),
    ],
)  # fmt: skip
def test_images_that_can_not_be_drawn_are_refused(images, line):
    with pytest.raises(InputError, match=line):
        plots.contact_sheet(images, ["a"] * len(images))


def test_confusion_figure_shows_counts_and_names():
    [axes] = plots.confusion_figure(Report(CONFUSION, NAMES)).axes
    shown = {text.get_position(): text.get_text() for text in axes.texts}  # by column and row
    counts = {(column, row): str(n) for (row, column), n in np.ndenumerate(CONFUSION) if n}
    assert shown == counts
    assert [label.get_text() for label in axes.get_yticklabels()] == list(NAMES)
    assert axes.get_title() == "test error 20.00 % of 20 images"
    np.testing.assert_allclose(axes.images[0].get_array()[0], [0.8, 0.2, 0])


@pytest.mark.parametrize("classes", [20, 43, 200])
def test_confusion_figure_of_many_classes_fits(classes):
    confusion = 9 * np.eye(classes, dtype=np.int64)
    confusion[3] = 0  # no image of this class
    names = tuple(f"{'a long name ' * 5}{i}" for i in range(classes))
    figure = plots.confusion_figure(Report(confusion, names))
    axes = figure.axes[0]
    assert bool(axes.texts) == (classes <= 20)
    assert max(figure.get_size_inches()) <= 11
    canvas = plots.FigureCanvasAgg(figure)
    canvas.draw()
    whole = figure.bbox
    for labels, axis in ((axes.get_xticklabels(), "x"), (axes.get_yticklabels(), "y")):
        assert len({label.get_text() for label in labels}) == len(labels) >= min(classes, 43)
        boxes = [label.get_window_extent() for label in labels]
        for box in boxes:
            assert whole.x0 <= box.x0 <= box.x1 <= whole.x1
            assert whole.y0 <= box.y0 <= box.y1 <= whole.y1
        starts, ends = ([getattr(box, f"{axis}{n}") for box in boxes] for n in (0, 1))
        order = np.argsort(starts)
        assert np.all(np.take(ends, order)[:-1] <= np.take(starts, order)[1:] + 1)  # no overlap


def test_contact_sheet_has_its_title_and_captions():
    figure = plots.contact_sheet(IMAGES, [f"{i}: $a_$?\n0.5" for i in range(7)], "these $ next $")
    [axes] = figure.axes
    assert list(places(axes, IMAGES).values()) == list(range(7))
    assert axes.texts[3].get_text() == "3: $a_$?\n0.5"
    assert figure.get_suptitle() == "these $ next $"
    plots.to_pixels(figure)


@pytest.mark.parametrize("count", [0, 1, 8])
def test_contact_sheet_wants_a_caption_for_each_image(count):
    with pytest.raises(InputError, match=f"there are 7 images, but {count} `captions`; give one"):
        plots.contact_sheet(IMAGES, ["a"] * count)


def test_contact_sheet_may_have_no_image():
    assert plots.contact_sheet([], []).axes


@pytest.mark.parametrize("name", ["x.xyz", "x", "x.png.txt"])
def test_save_refuses_other_endings(tmp_path, name):
    figure = plots.contact_sheet(IMAGES, "abcdefg")
    with pytest.raises(InputError, match=f"{name}; its name must end in .png, .pdf or .svg"):
        plots.save(figure, tmp_path / name)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("ending", "begins"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_save_writes_what_the_ending_says(tmp_path, ending, begins):
    path = tmp_path / f"confusion{ending}"
    plots.save(plots.confusion_figure(Report(CONFUSION, ("$ and $", "b", "c"))), path)
    assert path.read_bytes().startswith(begins)
    assert list(tmp_path.iterdir()) == [path]
    if ending == ".png":
        assert matplotlib.image.imread(path).shape[1] > 300


def test_to_pixels_makes_an_image_of_a_figure():
    pixels = plots.to_pixels(plots.confusion_figure(Report(CONFUSION, NAMES)))
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 4
    assert pixels.shape[3] == 3
    assert pixels.min() < 100 < 250 < pixels.max()


def test_titles_fit_above_figures_of_few_classes_and_images():
    report = Report(np.array([[900, 12], [10, 0]]), ("cats", "dogs"))
    title = "the most useful image to label next, of 4,000 unlabelled"
    for figure, words in (
        (plots.confusion_figure(report, "step 1000: test error 2.39 % of 922 images"), "step"),
        (plots.contact_sheet(IMAGES[:1], ["a"], title), "the most"),
    ):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        [box] = [
            text.get_window_extent(canvas.get_renderer())
            for text in figure.findobj(Text)
            if text.get_text().startswith(words)
        ]
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
