"""semisup-train and semisup-eval as a person runs them: as processes."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from semisup.config import Recipe
from tests import processes
from tests.processes import run

SMALL = [
    "--recipe=mnist",
    "--sup_per_batch=2",
    "--unsup_batch_size=20",
    "--max_steps=20",
    "--eval_interval=10",
]


def run_new(module, *arguments, cwd=None):
    """As `run`, in a Python of its own from the start."""
    return subprocess.run(
        [sys.executable, "-m", f"semisup.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=1800,
    )


def assert_one_line_error(result, *words):
    assert result.returncode == 1, result
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def trained(mnist_dir, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("cwd")
    # A relative --data_dir: the evaluator must find the data from another folder.
    shutil.copytree(mnist_dir, cwd / "data")
    return cwd, run_new("train", *SMALL, "--data_dir=data", "--logdir=run", cwd=cwd)


def test_trainer_prints_progress_and_the_error(trained):
    cwd, result = trained
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    first, *lines = result.stdout.splitlines()
    assert first == "Loading TensorFlow and mnist"
    assert re.fullmatch(
        r"Training on .PU in \w+, in run; to watch: tensorboard --logdir=run", lines[0]
    )
    assert re.fullmatch(r"[\d,]+ labelled, [\d,]+ unlabelled, [\d,]+ test images", lines[1])
    assert lines[2].startswith("10 classes (training; test images): 0 (40; 10), 1 (40; 10), ")
    assert lines[3].startswith("step 0/20  test_error ")
    at_10 = next(line for line in lines if line.startswith("step 10/20 "))  # others if it is slow
    assert "walker_loss" in at_10
    assert "min left" in at_10
    error = json.loads((cwd / "run" / "result.json").read_text())["test_error"]
    assert lines[-1].startswith(f"test error {error:.2f} % after 20 steps")


def test_folder_of_the_run_is_complete(trained):
    folder = trained[0] / "run"
    names = {path.name.split(".out.")[0] for path in folder.iterdir()}
    wanted = [
        "recipe.json",
        "split.json",
        "metrics.jsonl",
        "result.json",
        "model.keras",
        "labeled.npz",
        "projector",
        "projector_config.pbtxt",
        "checkpoints",
        "events",
        "lock",
    ]
    assert names == set(wanted)
    recipe = json.loads((folder / "recipe.json").read_text())
    assert recipe["recipe"]["max_steps"] == 20
    assert recipe["command"].endswith(" ".join([*SMALL, "--data_dir=data", "--logdir=run"]))


def test_evaluator_needs_the_folder_only(trained, tmp_path):
    cwd, _ = trained
    result = run("eval", f"--logdir={cwd / 'run'}", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    trainers = json.loads((cwd / "run" / "result.json").read_text())["test_error"]
    evaluated = json.loads((cwd / "run" / "eval.json").read_text())
    assert evaluated["test_error"] == trainers
    assert evaluated["step"] == 20
    assert sum(map(sum, evaluated["confusion"])) == 100
    assert list(evaluated["error_per_class"]) == list("0123456789")
    lines = result.stdout.strip().splitlines()
    assert lines[0] == "step 20: mnist, 100 test images"
    assert lines[1].split() == [*"0123456789", "error"]
    assert lines[-1] == f"test error {trainers:.2f} %"


@pytest.mark.slow
def test_evaluator_watches_a_run_to_its_end(mnist_dir, tmp_path):
    logdir = tmp_path / "run"
    arguments = [*SMALL, "--max_steps=60", f"--data_dir={mnist_dir}", f"--logdir={logdir}"]
    with ThreadPoolExecutor() as threads:
        trainer = threads.submit(run, "train", *arguments)
        # Begun before the run has written anything.
        result = run("eval", "--watch", "--timeout=1200", f"--logdir={logdir}")
    assert trainer.result().returncode == 0, trainer.result().stderr
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    steps = [int(line.split(":")[0].split()[1]) for line in lines if line.startswith("step ")]
    assert steps == sorted(set(steps))
    assert steps[-1] == 60


def test_the_same_command_twice_prints_the_same_result(trained):
    cwd, first = trained
    again = run("train", *SMALL, "--data_dir=data", "--logdir=run", cwd=cwd)
    assert again.returncode == 0
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]


def test_flags_of_the_run_itself(trained):
    """In the folder of another run: --overwrite; its checkpoints are those of --save_interval."""
    cwd, _ = trained
    copy = shutil.copytree(cwd / "run", cwd / "copy")
    data = ["--data_dir=data", "--logdir=copy", "--seed=1", "--max_steps=8"]
    result = run(
        "train", *SMALL, *data, "--overwrite", "--save_interval=3", "--deterministic", cwd=cwd
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    saved = {path.stem for path in (copy / "checkpoints").glob("*.json")}
    assert saved == {"step-3", "step-6", "step-8"}
    assert json.loads((copy / "recipe.json").read_text())["recipe"]["seed"] == 1


def test_sigterm_before_training_says_so(mnist_dir, tmp_path):
    """It is held where it reads its split: from a pipe that says nothing."""
    pipe = tmp_path / "split.json"
    os.mkfifo(pipe)
    arguments = [f"--data_dir={mnist_dir}", f"--split_file={pipe}", f"--logdir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "semisup.train", *SMALL, *arguments]
    trainer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    writer = None
    while writer is None:
        assert trainer.poll() is None
        time.sleep(0.1)
        with contextlib.suppress(OSError):  # the trainer has not opened it yet
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    trainer.terminate()
    os.close(writer)  # a signal between opening and reading waits for the end of both
    output, errors = trainer.communicate(timeout=600)
    assert trainer.returncode == 130
    assert output.endswith(
        "\nStopped before training. The same command starts or resumes the run.\n"
    )
    assert errors == ""


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_signals_save_and_say_how_to_go_on(mnist_dir, tmp_path, number):
    steps = ["--max_steps=100000", "--eval_interval=100000", "--log_interval=3"]
    arguments = [*SMALL, *steps, f"--data_dir={mnist_dir}"]
    command = [sys.executable, "-m", "semisup.train", *arguments]
    trainer = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in trainer.stdout:
        if line.startswith("step 0/"):
            break
    time.sleep(1)
    trainer.send_signal(number)
    output, errors = trainer.communicate(timeout=600)
    assert trainer.returncode == 130
    assert errors == ""
    [folder] = (tmp_path / "runs").iterdir()
    saved = sorted(path.name for path in (folder / "checkpoints").glob("*.index"))
    assert len(saved) == 2  # of step 0, and of the step it had reached
    assert (
        f"Stopped and saved. To resume, give the same command with --logdir=runs/{folder.name}"
        in output
    )


def test_closed_output_stops_no_run(tiny, tmp_path):
    """Standard error is closed from the start, the other once a line has come."""
    words = [f"--data_dir={tiny.data_dir}", f"--architecture={tiny.architecture}"]
    words += ["--dataset=npz", "--sup_per_batch=2", "--unsup_batch_size=8", "--max_steps=2"]
    command = shlex.join([sys.executable, "-m", "semisup.train", *words, f"--logdir={tmp_path}"])
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} 2>&- | head -1"],
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert (result.returncode, result.stdout) == (0, "Loading TensorFlow and npz\n")
    assert json.loads((tmp_path / "result.json").read_text())["steps"] == 2


def test_help_begins_with_ten_flags_and_names_all():
    text, everything = (run_new("train", flag).stdout for flag in ("--help", "--helpfull"))
    assert text.count("\n  --") == 10
    assert "  --max_steps\n      training steps [400]" in text
    from dataclasses import fields

    from semisup.config import GROUPS, Recipe

    others = ("recipe", "logdir", "overwrite", "save_interval", "deterministic", "task")
    for name in (*others, *(field.name for field in fields(Recipe))):
        assert f" --{name}" in text
        assert f"\n  --{name}\n" in everything
    places = [everything.index(f"\n{group}:\n") for group in ("Run", *GROUPS, "Authors' code")]
    assert places == sorted(places)
    assert everything.index("--dataset\n") < everything.index("\nNetwork:")


def damage(folder, name, content):
    path = folder / name
    path.write_bytes(content(path.read_bytes()))


def test_bad_input_is_one_line(mnist_dir, trained, tmp_path):
    """Every kind that ends before a model is made, so that a process each is cheap enough."""
    data = f"--data_dir={mnist_dir}"
    new = f"--logdir={tmp_path / 'new'}"
    assert_one_line_error(run("train", "--recipe=cifar"), "unknown recipe 'cifar'", "mnist5k")
    assert_one_line_error(run("train", "--no_such_flag"), "no_such_flag", "--help")
    assert_one_line_error(run("train", "--max_steps=many"), "max_steps", "many")
    assert_one_line_error(run("train", "--nocompare=true"), "compare", "--help")
    assert_one_line_error(run("train", "stray"), "'stray'")
    assert_one_line_error(run("train", "--teacher=", new), "--teacher is empty")
    assert_one_line_error(run("train", "--logdir="), "--logdir is empty")
    assert_one_line_error(
        run("train", "--recipe=mnist_student", new), "--recipe=mnist_teacher first", "as --teacher"
    )
    assert_one_line_error(run("train", "--teacher_share=0.5", new), "add --teacher=DIR")
    assert_one_line_error(run("train", "--teacher=x", "--teacher_share=0", new), "must be above 0")
    assert_one_line_error(run("train", "--dataset=cifar", new), "unknown data set", "mnist5k")
    assert_one_line_error(
        run("train", *SMALL, data, new, "--architecture=vgg"), "unknown architecture", "svhn_model"
    )
    assert_one_line_error(
        run("train", *SMALL, data, new, "--sup_per_class=41"), "asked for 41 of the 40", "'0'"
    )
    assert_one_line_error(
        run("train", *SMALL, "--data_dir=data", "--logdir=run", "--seed=3", cwd=trained[0]),
        "holds another run (seed was 0, is 3)",
    )
    assert not (tmp_path / "new").exists()


def test_damaged_data_is_one_line(mnist_dir, tmp_path):
    folder = Path(shutil.copytree(mnist_dir, tmp_path / "data"))
    (folder / "train-labels-idx1-ubyte.gz").rename(folder / "elsewhere")
    run_it = lambda: run("train", *SMALL, f"--data_dir={folder}", f"--logdir={tmp_path / 'r'}")  # noqa: E731
    assert_one_line_error(run_it(), "no train-labels-idx1-ubyte.gz", str(folder))
    (folder / "elsewhere").rename(folder / "train-labels-idx1-ubyte.gz")
    damage(folder, "train-images-idx3-ubyte.gz", lambda content: content[:-5000])
    assert_one_line_error(run_it(), "train-images-idx3-ubyte.gz is damaged", "313616 bytes")
    assert not (tmp_path / "r").exists()


def test_seeds_without_compare_is_one_line(tmp_path):
    assert_one_line_error(run("train", "--seeds=3", f"--logdir={tmp_path}"), "--seeds", "--compare")


RESULT = {
    "test_error": 12.345,
    "test_error_median": 13.0,
    "test_error_min": 11.5,
    "selected_step": 300,
    "steps": 400,
    "train_seconds": 61.7,
    "test_images": 1500,
}


def say_results():
    """Print what semisup-train says of some results."""
    from semisup import train as program

    known = Recipe(eval_images=2000, select="label_free")
    program._say(known, RESULT)
    unknown = {"test_error": None, "test_error_median": None, "test_error_min": None}
    program._say(Recipe(select="last"), {**RESULT, **unknown})
    for select, step in (("last", 400), ("label_free", 300)):
        result = {**RESULT, "selected_step": step, "collapsed": True}
        program._say(Recipe(select=select), result)


def test_trainer_says_how_a_run_ended():
    process = processes.start(say_results)
    process.join()
    assert process.exitcode == 0, processes.said(process)
    lines = processes.said(process).splitlines()
    chosen = "after 300 steps, chosen from 400 by the label-free score (62 s of training"
    errors = "; median of the last evaluations 13.00 %, lowest 11.50 %)"
    collapsed = "warning: the walk had collapsed at the end of training, "
    advice = "; docs/runs.md says what to try"
    assert lines[-7:] == [
        f"test error 12.35 % of 1,500 test images {chosen}{errors}",
        "test error unknown, since there are no test images; ended after 300 steps "
        "(62 s of training)",
        f"test error 12.35 % after 400 steps (62 s of training{errors}",
        f"{collapsed}so this result does not benefit from association{advice}",
        "--select=label_free keeps the evaluation with the best label-free score, which may be an "
        "earlier one",
        f"test error 12.35 % {chosen}{errors}",
        f"{collapsed}after the evaluation that was chosen{advice}",
    ]


def compare_nothing(arguments):
    """Run semisup-train --compare with a comparison that trains nothing."""
    from semisup import train as program
    from semisup.training import comparison

    def compare(recipe, logdir, seeds, command, **options):
        print(recipe.seed, logdir, seeds, options["save_interval"])
        return {"labels only": [30.0, 20.0], "association": [3.0, 2.0]}

    comparison.compare = compare
    sys.argv[1:] = arguments
    program.console_main()


def test_trainer_compares_and_prints_the_table(tmp_path):
    flags = ["--compare", "--seeds=2", "--seed=4", "--eval_images=50", "--select=label_free"]
    process = processes.start(
        compare_nothing, [*flags, "--max_steps=9", "--save_interval=3", f"--logdir={tmp_path}"]
    )
    process.join()
    assert process.exitcode == 0, processes.said(process)
    lines = processes.said(process).splitlines()
    assert lines[-8:] == [
        f"4 {tmp_path} 2 3",
        "",
        "Test errors on at most 50 test images after 9 steps at the most:",
        "              labels only    association",
        "seed 4            30.00 %         3.00 %",
        "seed 5            20.00 %         2.00 %",
        "median            25.00 %         2.50 %",
        "range         20.00-30.00      2.00-3.00",
    ]


def train_nothing(arguments):
    """Run semisup-train with a loop that says only how it would train."""
    import tensorflow as tf

    from semisup import train as program
    from semisup.training import loop

    def train(recipe, logdir, command, *, strategy, **options):
        try:
            tf.random.uniform([])  # without a seed, which determinism refuses
            print("any operations", type(strategy).__name__)
        except RuntimeError:
            print("deterministic operations", type(strategy).__name__)
        return RESULT

    loop.train = train
    sys.argv[1:] = arguments
    program.console_main()


@pytest.mark.parametrize(
    ("flag", "wanted"),
    [
        ("--seed=0", "any operations NoneType"),
        ("--deterministic", "deterministic operations NoneType"),
        ("--strategy=mirrored", "any operations MirroredStrategy"),
    ],
)
def test_trainer_trains_as_the_flags_of_the_machine_say(tmp_path, flag, wanted):
    process = processes.start(train_nothing, [flag, f"--logdir={tmp_path}"])
    process.join()
    assert process.exitcode == 0, processes.said(process)
    assert wanted in processes.said(process).splitlines()


def test_evaluator_names_what_is_missing(tmp_path):
    assert_one_line_error(run("eval"), "--logdir is missing")
    assert_one_line_error(run("eval", f"--logdir={tmp_path}"), str(tmp_path), "holds no run")
    assert_one_line_error(
        run("eval", f"--logdir={tmp_path}", "--watch", "--timeout=1"), "no run has begun", "1 s"
    )
    for program, word, line in (
        ("eval", "--timeout=nan", "--timeout is nan; it must be above 0"),
        ("eval", "--out=", "--out is empty; give a path, or leave it out"),
        ("eval", "--data_dir=", "--data_dir is empty"),
        ("export", "--out=", "--out is empty"),
    ):
        assert_one_line_error(run(program, f"--logdir={tmp_path}", word), line)
