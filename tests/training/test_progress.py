"""What a log file shows of a run's progress."""

import fcntl
import io
import os
import pty
import struct
import termios
import time

import numpy as np

from semisup.data.dataset import Dataset
from semisup.runtime.progress import shows_bar, tracked
from semisup.training import progress


def test_progress_writes_a_line_when_none_was_written_for_long(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr("semisup.runtime.progress._written", 100.0)
    shown = progress.Progress(0, 100)
    shown.update(1, {"loss": 0.123456})
    shown.update(2)
    assert capsys.readouterr().out == ""
    now[0] += 20
    shown.update(10)
    shown.update(11)
    assert capsys.readouterr().out == "step 10/100  loss 0.1235  3.0 min left\n"


def test_progress_line_of_a_resumed_run_counts_its_own_steps(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown = progress.Progress(50, 100)
    now[0] += 60
    shown.write_line(60)
    assert capsys.readouterr().out == "step 60/100  4.0 min left\n"


def test_progress_counts_what_follows_the_last_step(capsys):
    shown = progress.Progress(0, 100)
    shown.end_seconds = 90.0
    shown.write_line(100)
    assert capsys.readouterr().out == "step 100/100  1.5 min left\n"


def test_tracked_work_shares_its_clock_with_the_steps(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr("semisup.runtime.progress._written", 0.0)
    shown = progress.Progress(0, 100)
    for _ in tracked(range(4), 20, 5, "embedding"):
        now[0] += 5  # the second batch ends ten seconds after the last line of any kind
    shown.update(1)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "embedding: 10 of 20 images"
    assert second.startswith("step 1/100")


def test_shows_bar_where_it_can_be_seen():
    main, side = pty.openpty()
    with os.fdopen(side, "w") as terminal, os.fdopen(main):
        assert not shows_bar(terminal)  # a new one has no columns
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        assert shows_bar(terminal)
    assert not shows_bar(io.StringIO())
    window = io.StringIO()
    window.isatty = lambda: True
    assert shows_bar(window)


def images_of(train, test, names):
    """A data set with so many images of each class."""
    labels = [np.repeat(np.arange(len(names)), counts) for counts in (train, test)]
    images = [np.zeros((len(each), 1, 1, 1), np.uint8) for each in labels]
    return Dataset("some", images[0], labels[0], images[1], labels[1], tuple(names))


def test_describe_classes_says_how_many_images_there_are_of_each():
    dataset = images_of([3, 1200], [2, 0], ["cat", "a\nb"])
    assert list(progress.describe_classes(dataset)) == [
        r"2 classes (training; test images): cat (3; 2), a\nb (1,200; 0)",
        r"warning: there is no test image of a\nb, so its error is unknown",
        "warning: the error is of 2 test images only, so one of them changes it by 50.0 points",
    ]
    _, line, _ = progress.describe_classes(dataset, left_out=5)
    assert line.endswith("so its error is unknown (of those drawn by `eval_images`)")


def test_describe_classes_shortens_many():
    dataset = images_of(range(1, 101), [1] * 100, [f"class {i}" for i in range(100)])
    [line] = progress.describe_classes(dataset)
    assert line.startswith("100 classes (training; test images): class 0 (1; 1), ")
    assert line.endswith("class 11 (12; 1), ... (1 to 100; 1 to 1)")


def test_bar_shows_the_step_of_a_resumed_run(monkeypatch):
    monkeypatch.setattr("semisup.runtime.progress.shows_bar", lambda stream: True)
    shown = progress.Progress(50, 100)
    shown.update(51, {"loss": 0.12345})
    shown.update(53)
    shown.close()
    assert (shown.bar.n, shown.bar.total, shown.bar.postfix) == (53, 100, "loss=0.1235")
