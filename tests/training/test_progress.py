"""What a log file shows of a run's progress."""

import time

from semisup.runtime.progress import tracked
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
