"""Work on many images on all cores."""

import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from PIL import Image

from semisup.data.image_io import parallel, read_image
from semisup.data.image_io.parallel import on_all_cores
from semisup.errors import InputError

HOW = ("in a thread", "in threads", "in processes")


@pytest.fixture(params=HOW)
def how(request, monkeypatch):
    """As if images were small, so that one thread or several processes read them, or large."""
    seconds = 0.0 if request.param == "in threads" else np.inf
    monkeypatch.setattr(parallel, "_SECONDS_OF_SMALL_IMAGE", seconds)
    monkeypatch.setattr(parallel, "_MANY_IMAGES", 0 if request.param == "in processes" else np.inf)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 3)
    return request.param


def test_on_all_cores_keeps_the_order(how):
    for count in (0, 1, 15, 16, 17, 32, 205, 1_000) if how != "in processes" else (16, 300):
        assert list(on_all_cores(abs, range(0, -count, -1))) == list(range(count))


def test_on_all_cores_calls_once_for_each_item(how):
    called = []
    list(on_all_cores(called.append, range(205), picklable=False))
    assert sorted(called) == list(range(205))


def test_on_all_cores_takes_all_cores_but_for_few_small_images(how):
    together = threading.Barrier(3)

    def worker(i):
        if how == "in threads" and i >= 16 and i % 16 == 0:
            together.wait(timeout=600)  # breaks unless three threads come here
        return os.getpid(), threading.get_ident()

    # Only threads can share the barrier.
    workers = set(list(on_all_cores(worker, range(16 + 6 * 16), how != "in processes"))[16:])
    assert len(workers) == (3 if how == "in threads" else 1)

    def process(_):  # defined here, it is sent by value: the process need not import this module
        return os.getpid()

    others = set(on_all_cores(process, range(16 + 20 * 128))) - {os.getpid()}
    assert bool(others) == (how == "in processes")


def test_on_all_cores_begins_nothing_more_once_its_reader_has_stopped(monkeypatch):
    monkeypatch.setattr(parallel, "_SECONDS_OF_SMALL_IMAGE", 0.0)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    begun, may_go_on = [], threading.Event()

    def slow(i):
        begun.append(i)
        if i >= 48:
            may_go_on.wait(timeout=600)
        return i

    class Pool(ThreadPoolExecutor):
        def shutdown(self, *arguments, **options):
            may_go_on.set()  # only now, when nothing should wait any more
            super().shutdown(*arguments, **options)

    monkeypatch.setattr(parallel, "ThreadPoolExecutor", Pool)
    results = on_all_cores(slow, range(16 + 20 * 16), picklable=False)
    for _ in range(20):
        next(results)
    results.close()  # as Ctrl-C does
    assert len(begun) <= 16 + 4 * 16  # of the chunks that waited, two had begun


def test_on_all_cores_raises_the_first_error_and_stops(how, tmp_path):
    before = set(threading.enumerate())
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.new("L", (2, 2)).save(good)
    for place in (0, 15, 16, 100, 1_999) if how != "in processes" else (200,):
        paths = [bad if i >= place else good for i in range(2_000)]
        done = []
        with pytest.raises(InputError, match=r"^there is no image .*bad\.png"):
            for image in on_all_cores(functools.partial(read_image, size=2), paths):
                done.append(image)
        assert place - 128 < len(done) <= place
    still_here = [thread.name for thread in set(threading.enumerate()) - before]
    assert not [name for name in still_here if "ThreadPoolExecutor" in name]


def test_on_all_cores_says_that_a_process_was_killed(monkeypatch):
    monkeypatch.setattr(parallel, "_MANY_IMAGES", 0)
    monkeypatch.setattr(parallel, "_SECONDS_OF_SMALL_IMAGE", np.inf)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    parent = os.getpid()

    def die(i):
        return i if os.getpid() == parent else os._exit(1)

    with pytest.raises(InputError, match="a process that read images was killed"):
        list(on_all_cores(die, range(1_000)))
