"""Atomic writes of files, and a lock that allows one process per folder."""

import errno
import fcntl
import json
import math
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from absl import logging

from semisup.errors import InputError

TEMPORARY = ".tmp."  # begins the name of a file that is being written

LOCK = "lock"


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file.

    Raises:
        InputError: it holds something else, or is damaged.
        FileNotFoundError: there is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: it holds no JSON object")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all: a line for each setting, or for each list."""
    text = json.dumps(content, indent=2)
    if any(isinstance(value, list) for value in content.values()):
        rows = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
        text = "{\n" + ",\n".join(rows) + "\n}"
    write_text(path, text + "\n")


def json_number(value: float) -> float | None:
    """Return a number as JSON can have it: None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with (
        whole(path) as temporary,
        # Names of files may be no UTF-8.
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        file.write(text)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield another name to write a file under; at the end it is renamed, if all went well.

    It is then on the disk itself, so that a machine that goes down does not lose it. If not all
    went well, it is deleted. Neither name is followed if it is a link, which may lead out of the
    run's folder. Where another process writes the same file, this one waits for it.

    Raises:
        InputError: there is no such folder, the name is that of a folder or a device, or the disk
            is full.
    """
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent} to write {path.name} in; make it first")
    if is_special(path):
        raise InputError(f"{path} is no file that could be replaced; choose another name")
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        with _alone(temporary):
            try:
                yield temporary
                flush(temporary)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        with suppress(OSError):  # some file systems can't; the file itself is on the disk
            flush(path.parent)  # which has the new name
    except OSError as error:
        _refuse_full_disk(path, error)
        raise


def check_writable(folder: Path) -> None:
    """Raise InputError if no file can be written to a folder that is there."""
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"no file can be written to {folder}; set `out` to another place")


def is_special(path: Path) -> bool:
    """Whether a path is there that is no file to replace: a folder, a pipe or a device."""
    # /dev/stdout is a link, and may lead to a file; what lies in /dev/shm is an ordinary one.
    return path.exists() and (
        not path.is_file() or (path.is_symlink() and path.is_relative_to("/dev"))
    )


@contextmanager
def _alone(temporary: Path) -> Iterator[None]:
    """Context manager: hold an empty file that no other process writes to meanwhile."""
    ordinary = temporary.is_file() and os.access(temporary, os.W_OK)
    if os.path.lexists(temporary) and (temporary.is_symlink() or not ordinary):
        temporary.unlink()
    while True:
        with temporary.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logging.warning(f"another process is writing {temporary}; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise  # else this file system has no locks
            ours = False  # if the other one has renamed or deleted it meanwhile
            with suppress(FileNotFoundError):
                ours = os.path.samestat(os.fstat(file.fileno()), temporary.stat())
            if ours:
                file.truncate(0)
                yield
                return


def flush(path: Path) -> None:
    """Have the disk itself write what a file holds, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, a link (not what it leads to) or a folder with all that it holds, if there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def append(path: Path, text: str) -> None:
    """Add to a file on the disk itself, so that a machine that goes down does not lose it.

    Raises:
        InputError: the disk is full.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        _refuse_full_disk(path, error)
        raise


def _refuse_full_disk(path: Path, error: OSError) -> None:
    """Raise InputError if the file could not be written for want of space."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise InputError(
            f"cannot write {path}: {error.strerror}; free some space and give the same command "
            "again"
        ) from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for this process; the folder is created if it is missing.

    The kernel holds the lock and drops it with the process, however that ends, so no
    stale one can be left behind. The file stays: whoever deleted it at the end could
    delete the next process's. It names the holder, for people.

    Raises:
        InputError: another process holds the folder; it is named. Or there can be no such
            folder, or it can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # "a+" makes the file, and does not empty it before the lock is ours.
        opened = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot use {folder} as the run's folder: {error.strerror} ({error.filename}); fix "
            "that, or choose another `logdir`"
        ) from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise InputError(
                f"{folder} is in use by {holder}; wait for it, stop it, or choose another `logdir`"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
