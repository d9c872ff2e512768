"""Many runs side by side through joblib: threads or processes of this machine, or a cluster."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from semisup.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


def share_of_machine(jobs: int) -> dict[str, str]:
    """Environment variables by which each of so many runs takes its share of cores and GPU."""
    import joblib

    threads = str(max(joblib.cpu_count() // jobs, 1))
    return {
        "TF_NUM_INTRAOP_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }


def unordered(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Iterator[Result]:
    """What `function` gives for each item, as it comes; call it inside `engine`."""
    import joblib

    # One at a time to each worker: runs are long, and of unequal length.
    parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch=jobs)
    yield from parallel(joblib.delayed(function)(item) for item in items)


@contextmanager
def engine(backend: str, jobs: int) -> Iterator[None]:
    """Joblib works with this backend inside; a cluster's address comes from its own settings.

    Raises:
        InputError: the backend's package is not installed.
    """
    import joblib

    with ExitStack() as opened:
        try:
            if backend == "dask":
                import dask
                from distributed import Client, LocalCluster

                logging.getLogger("distributed").setLevel(logging.ERROR)  # it tells every step
                # DASK_SCHEDULER_ADDRESS names a running cluster; without, workers right here.
                place = dask.config.get("scheduler-address", None)
                if place is None:
                    local = LocalCluster(
                        n_workers=jobs, threads_per_worker=1, dashboard_address=None
                    )
                    place = opened.enter_context(local)
                opened.enter_context(Client(place))
        except ImportError:
            raise InputError(
                f"--backend={backend} needs one more package: pip install '.[{backend}]'"
            ) from None
        with joblib.parallel_config(backend=backend, n_jobs=jobs):
            yield
