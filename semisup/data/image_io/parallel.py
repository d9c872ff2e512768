"""Process many images on all cores."""

import functools
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import joblib
import numpy as np
from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

from semisup.data.image_io.reading import as_rgb, read_image
from semisup.errors import InputError
from semisup.runtime.progress import tracked

# Images that a core works on in one go.
_CHUNK = 16
_CHUNK_OF_PROCESS = 128

# Opening a file and reading its header, in which Python holds its lock, takes about half of this.
_SECONDS_OF_SMALL_IMAGE = 0.25e-3

# Of small images: processes take most of a second to start, and several if the module of the
# function loads TensorFlow.
_MANY_IMAGES = 8_000

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_images(paths: Sequence[Path], size: int = 0) -> list[np.ndarray]:
    """Decode image files on all cores, with a progress display.

    Args:
        paths: the files.
        size: if above 0, resize each to this height and width.

    Returns:
        Of each uint8 [H, W, 3], see `read_image`; grey ones have their channel three times.

    Raises:
        InputError: a file can't be read.
    """
    read = functools.partial(read_image, size=size)
    return [as_rgb(image) for image in on_all_cores(read, paths, description="reading images")]


def on_all_cores(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    picklable: bool = True,
    description: str = "",
) -> Iterator[Result]:
    """Call `function` with each item, on all cores.

    In threads if a call takes long, since decoders leave Python's lock. A small image keeps
    Python busy, and several threads would mostly wait for each other: many of these are shared
    among processes.

    Args:
        function: what to do with an image.
        items: what it is called with.
        picklable: whether the function, its items and results can go to another process.
        description: what is being done, for a progress display; without one there is none.

    Returns:
        What `function` returned, in order. Few results wait to be taken at any time.

    Raises:
        InputError: a process was killed; and what `function` raises.
    """
    results = _results(function, items, picklable)
    return tracked(results, len(items), 1, description) if description else results


def _results(
    function: Callable[[Item], Result], items: Sequence[Item], picklable: bool
) -> Iterator[Result]:
    seconds = []
    for item in items[:_CHUNK]:
        begin = time.perf_counter()
        result = function(item)
        seconds.append(time.perf_counter() - begin)
        yield result
    if len(items) <= _CHUNK:
        return
    # The median, since the very first image waits for Pillow to load its decoders.
    small = statistics.median(seconds) < _SECONDS_OF_SMALL_IMAGE
    cores = joblib.cpu_count()
    if small and picklable and cores > 1 and len(items) >= _MANY_IMAGES:
        yield from _in_pool(ProcessPoolExecutor(cores), function, items, _CHUNK_OF_PROCESS, cores)
    else:
        threads = 1 if small else cores
        yield from _in_pool(ThreadPoolExecutor(threads), function, items, _CHUNK, threads)


def _in_pool(
    pool: Executor,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    chunk: int,
    workers: int,
) -> Iterator[Result]:
    """The results of all items but the first `_CHUNK`, in order."""
    waiting: deque[Future[list[Result]]] = deque()
    try:
        with pool:
            try:
                for start in range(_CHUNK, len(items), chunk):
                    waiting.append(pool.submit(_each, function, items[start : start + chunk]))
                    if len(waiting) > 2 * workers:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:  # after Ctrl-C, say, only what has begun is waited for
                for future in waiting:
                    future.cancel()
    except TerminatedWorkerError:
        raise InputError(
            "a process that read images was killed, perhaps because memory ran out; free some "
            "memory and start again"
        ) from None


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]
