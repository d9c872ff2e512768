"""One run, one process: the lock on a run's folder."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semisup.errors import InputError

LOCK = "lock"


@contextmanager
def held(logdir: Path) -> Iterator[None]:
    """Inside, no other process can hold `logdir`, which is made if need be.

    The kernel holds the lock and drops it with the process, however that ends, so no
    stale one can be left behind. The file stays: whoever deleted it at the end could
    delete the next process's. It names the holder, for people.

    Raises:
        InputError: another process holds the folder; it is named. Or there can be no such
            folder, or it can't be written to.
    """
    try:
        logdir.mkdir(parents=True, exist_ok=True)
        # "a+" makes the file, and does not empty it before the lock is ours.
        opened = (logdir / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot use {logdir} as the run's folder: {error.strerror} ({error.filename}); mend "
            "that, or choose another --logdir"
        ) from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise InputError(
                f"{logdir} is in use by {holder}; wait for it, stop it, or choose another --logdir"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
