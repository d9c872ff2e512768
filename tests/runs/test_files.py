"""One process a folder; a dead one's lock is no lock."""

import errno
import os
import re
import tempfile
import time
from pathlib import Path

import pytest

from semisup.errors import InputError
from semisup.runs import files
from tests import processes


def test_second_holder_is_refused_and_told_of_the_first(tmp_path):
    logdir = tmp_path / "new" / "run"
    refusal = rf"run is in use by process {os.getpid()} on \S+; wait for it"
    with files.locked(logdir), pytest.raises(InputError, match=refusal), files.locked(logdir):
        pass
    with files.locked(logdir):  # free again
        pass


@pytest.mark.parametrize("name", ["file", "file/run", "run"])
def test_folder_that_can_not_be_used_is_named(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "run" / "lock").mkdir(parents=True)
    refusal = rf"^cannot use .*{name} as the run's folder: .*choose another `logdir`$"
    with pytest.raises(InputError, match=refusal), files.locked(tmp_path / name):
        pass


def test_lock_of_a_killed_process_is_taken_over(tmp_path):
    held, stay = (processes.event() for _ in range(2))
    process = processes.start(_hold, tmp_path, held, stay)
    assert held.wait(600)
    with (
        pytest.raises(InputError, match=rf"in use by process {process.pid} on"),
        files.locked(tmp_path),
    ):
        pass
    process.kill()
    process.join()
    assert re.match(rf"process {process.pid} on", (tmp_path / "lock").read_text())
    with files.locked(tmp_path):
        assert re.match(rf"process {os.getpid()} on", (tmp_path / "lock").read_text())


def _hold(logdir, held, stay):
    with files.locked(logdir):
        held.set()
        stay.wait()


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    names = []
    monkeypatch.setattr(os, "fsync", lambda _: names.extend(p.name for p in tmp_path.iterdir()))
    with files.whole(tmp_path / "model") as temporary:
        temporary.write_text("1")
    assert names == [".tmp.model", "model"]  # then the folder, which has the name
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_two_processes_write_a_file_one_after_the_other(tmp_path):
    path, begun = tmp_path / "eval.json", processes.event()
    with files.whole(path) as temporary:
        temporary.write_text("fir")
        process = processes.start(_write, path, begun)
        assert begun.wait(600)
        end = time.monotonic() + 600
        while "another process is writing" not in processes.said(process):
            assert process.is_alive()
            assert time.monotonic() < end
            time.sleep(0.01)
        temporary.write_text("first")
    process.join()
    assert path.read_text() == "second, after first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["eval.json"]


def _write(path, begun):
    begun.set()
    with files.whole(path) as temporary:
        temporary.write_text(f"second, after {path.read_text()}")


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    (tmp_path / ".tmp.x").write_text("much that is half-written")
    files.write_text(tmp_path / "x", "new")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("x", "new")]


def test_no_pipe_or_device_is_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is no file that could be replaced; choose another"):
        files.write_text(tmp_path / "pipe", "x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]
    # These are looked at only: as root, a mistake would replace them.
    assert files.is_special(Path("/dev/null"))
    assert files.is_special(Path("/dev/stdout"))
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        assert not files.is_special(Path(file.name))


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path.parent / "other")])
def test_what_lies_in_the_way_of_a_file_is_removed(tmp_path, make):
    make(tmp_path / ".tmp.x")
    files.write_text(tmp_path / "x", "new")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("x", "new")]


def test_a_file_system_without_locks_will_do(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", unsupported)
    files.write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"


def test_what_is_added_is_on_the_disk_at_once(tmp_path, monkeypatch):
    path, on_disk = tmp_path / "metrics.jsonl", []
    monkeypatch.setattr(os, "fsync", lambda _: on_disk.append(path.read_text()))
    for line in ("one\n", "two\n"):
        files.append(path, line)
    assert on_disk == ["one\n", "one\ntwo\n"]


def test_no_file_is_begun_where_there_is_no_folder(tmp_path):
    path = tmp_path / "nowhere" / "classes.csv"
    with (
        pytest.raises(InputError, match=r"there is no folder .*nowhere to write classes\.csv in"),
        files.whole(path),
    ):
        raise AssertionError
    assert not path.parent.exists()


def test_check_writable_names_another_place_before_any_work(tmp_path, monkeypatch):
    files.check_writable(tmp_path)
    files.check_writable(tmp_path / "missing")  # writing says so itself
    monkeypatch.setattr(
        os, "access", lambda path, mode: path != tmp_path
    )  # root may write anywhere
    with pytest.raises(InputError, match=r"no file can be written to .*; set `out` to another"):
        files.check_writable(tmp_path)
