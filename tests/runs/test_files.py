"""One process a folder; a dead one's lock is no lock."""

import os
import re

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
