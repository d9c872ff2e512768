"""Every shell command of the pages runs: small steps, stand-ins for the data, the same meaning.

A page is gone through in a checkout of its own, from above, so that its later commands use what
its earlier ones made. A command of a kind that nobody has thought of yet fails.
"""

import re
import shlex
import shutil
import site
import subprocess
import sys
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from semisup import recipes
from tests import stand_ins
from tests.runtime.test_distribution import free_ports

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

# Given to whatever trains, in place of the page's own numbers.
SMALL = {"max_steps": 2, "eval_interval": 2, "log_interval": 1}
SMALL |= {"unsup_samples": 30, "sup_per_batch": 2, "unsup_batch_size": 20}

# Seconds for one command, should it hang: a table is several runs, and the machine may be busy.
TIMEOUT = 1800

# A row of each of the paper's tables, which then does for all.
ROWS = {"1": "100", "2": "500", "3": "20", "4": "0", "5": "adapted", "stl10": "1000"}
ROWS |= {"gtsrb": "'10 of each class'"}


def blocks(page: Path) -> list[list[str]]:
    """The commands of each ```sh block, without their comments."""
    found = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    texts = [re.sub(r"(^|\s+)#.*", "", text.replace("\\\n", " "), flags=re.M) for text in found]
    return [[line.strip() for line in text.splitlines() if line.strip()] for text in texts]


def value(command: str, flag: str) -> str | None:
    found = re.search(rf"--{flag}=(\S+)", command)
    return found[1] if found else None


def with_flags(command: str, **flags: object) -> str:
    for flag, given in flags.items():
        command = re.sub(rf" --{flag}=\S+", "", command) + f" --{flag}={given}"
    return command


def shape(command: str) -> str:
    """The same for commands that differ in their numbers only; "-1" says "all"."""
    return re.sub(r"=[\d.]+", "=N", command)


def small_training(command: str) -> str:
    command = re.sub(r"(seed)=S\b", r"\1=0", command)  # the page says "S: its seed"
    recipe = recipes.RECIPES[value(command, "recipe") or recipes.DEFAULT_RECIPE]
    if value(command, "recipe") == "photos":
        # Keras would download the weights. A small network will do, and random ones.
        if not value(command, "architecture"):
            command = with_flags(command, architecture="keras:MobileNetV3Small", weights="none")
        command = with_flags(command, new_size=32)
    if value(command, "seeds"):
        command = with_flags(command, seeds=1)
    if int(value(command, "sup_per_class") or recipe.sup_per_class) > 0:
        command = with_flags(command, sup_per_class=2)
    return with_flags(command, **SMALL)


def small_table(command: str) -> str:
    if value(command, "backend") == "dask" and not find_spec("dask"):  # an extra, not for tests
        command = with_flags(command, backend="threading")
    if value(command, "table") == "3" and value(command, "recipe"):
        # The stand-ins have fewer than the 20,000 unlabelled images of a column; mnist5k's own do.
        command = with_flags(re.sub(r" --(data_dir|recipe)=\S+", "", command), recipe="mnist5k")
    return with_flags(command, **SMALL, seeds=1, rows=ROWS[value(command, "table")])


def small_comparison(command: str) -> str:
    last = (value(command, "methods") or "vat").split(",")[-1]
    small = small_training(with_flags(command, seeds=1, methods=f"association,{last}"))
    return re.sub(r" --log_interval=\S+", "", small)  # which a comparison refuses


# How each program is run; what stands first in a command must be one of them.
PROGRAMS = {
    "semisup-train": small_training,
    "semisup-eval": str,
    "semisup-predict": str,
    "semisup-export": str,
    "scripts/quickstart": lambda command: with_flags(command, max_steps=2),
    # The tests are found and the words are understood; they run in a test run of their own.
    "scripts/test": lambda command: f"{command} --collect-only",
    ".venv/bin/python scripts/reproduce.py": small_table,
    ".venv/bin/python scripts/compare.py": small_comparison,
    ".venv/bin/python scripts/label_free_ranks.py": str,
    ".venv/bin/python scripts/results_page.py": str,
    # Instead of serving for good: says what it finds in the folder, and ends.
    "tensorboard": lambda command: f"{command} --inspect",
    "source": str,
    "export": str,
    "cp": str,
}


def check_script(command: str, checkout: Path) -> None:
    script = checkout / command.split()[0]
    subprocess.run(["bash", "-n", script], check=True)
    assert script.stat().st_mode & 0o100


def check_pip(command: str, checkout: Path) -> None:
    program, install, *wanted = shlex.split(command)
    assert (Path(program).name, install) == ("pip", "install")
    for word in wanted:
        requirement = Requirement(f"semisup{word[1:]}" if word.startswith(".") else word)
        if requirement.name == "semisup":
            assert requirement.extras <= set(metadata("semisup").get_all("Provides-Extra"))


def check_benchmark(command: str, checkout: Path) -> None:
    result = run(with_flags(command, cases="none"), checkout)
    assert result.stderr.strip() == "error: --cases: unknown none; known: mnist, svhn, stl10"


# What is not run, and what is looked at instead.
NOT_RUN = {
    # Runs this very suite. That it can be read and started is checked.
    ".ci/run": check_script,
    # Needs the package index, and would change what is installed. The extras are there.
    "pip": check_pip,
    ".venv/bin/pip": check_pip,
    # It takes twenty minutes to an hour at least. Its flags are read, then one more is refused.
    ".venv/bin/python scripts/benchmark.py": check_benchmark,
    # .ci/run builds the site in this very checkout.
    "scripts/docs": check_script,
}


def kind(command: str) -> str:
    for name in (*PROGRAMS, *NOT_RUN):
        if command == name or command.startswith(f"{name} "):
            return name
    raise AssertionError(f"no one has said how to run this: {command}")


def run(command: str, checkout: Path) -> subprocess.CompletedProcess:
    words, options = in_checkout(command, checkout)
    return subprocess.run(words, **options, capture_output=True, text=True, timeout=TIMEOUT)


def in_checkout(command: str, checkout: Path) -> tuple[list[str], dict]:
    environment = {
        "HOME": str(checkout),
        "PATH": f"{checkout / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": str(checkout),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    return ["bash", "-c", command], {"cwd": checkout, "env": environment}


@pytest.fixture(scope="module")
def data(tmp_path_factory, digits_folder):
    folder = tmp_path_factory.mktemp("data")
    stand_ins.write_all(folder, digits_folder)
    stand_ins.prepare_tfds(folder)
    return folder


@pytest.fixture
def checkout(tmp_path, data):
    """A copy of the repository with a .venv, and beside its files the stand-ins for the data."""
    for name in ("semisup", "scripts", "tests", "docs", ".ci"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for path in (*ROOT.glob("*.md"), ROOT / "pyproject.toml", ROOT / "setup.py"):
        shutil.copy2(path, tmp_path)
    for path in data.iterdir():
        (tmp_path / path.name).symlink_to(path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    # It borrows the packages of the Python that runs the tests; scripts/venv.sh finds it complete.
    [packages] = (tmp_path / ".venv" / "lib").glob("python*/site-packages")
    (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()))
    for stamp in ("installed-plain", "installed-test"):
        (tmp_path / ".venv" / stamp).write_text(f"{tmp_path}\n")
    modules = {f"semisup-{name}": f"semisup.{name}" for name in ("train", "eval", "predict")}
    modules |= {"semisup-export": "semisup.export", "tensorboard": "tensorboard.main"}
    (tmp_path / "bin").mkdir()
    for program, module in modules.items():
        script = tmp_path / "bin" / program
        script.write_text(f'#!/bin/sh\nexec "{tmp_path}/.venv/bin/python" -m {module} "$@"\n')
        script.chmod(0o755)
    return tmp_path


def in_place(command: str, checkout: Path, ports: list[int]) -> str:
    """The command with places of this machine for those that the page makes up."""
    for host, port in enumerate(ports):
        command = command.replace(f"host{host}:2222", f"127.0.0.1:{port}")
    command = command.replace("=/shared/", f"={checkout}/shared/")
    if value(command, "logdir") == "DIR":  # a run's folder: the last one that the page made
        made = (checkout / "runs").rglob("recipe.json")
        newest = max(made, key=lambda path: path.stat().st_mtime).parent
        command = with_flags(command, logdir=newest)
    return command


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_run(page, checkout):
    workers, ran, ports = [], set(), free_ports(2)
    for block in blocks(page):
        state = ""  # what `source` and `export` leave behind, until the block ends
        for command in block:
            name = kind(command)
            if name in NOT_RUN:
                NOT_RUN[name](command, checkout)
                continue
            small = state + in_place(PROGRAMS[name](command), checkout, ports)
            if name in ("source", "export"):
                state = f"{small} &&\n"
            elif "--strategy=multi_worker" in small:
                # It begins when the last worker is there, so the page's next one must start too.
                words, options = in_checkout(small, checkout)
                log = checkout / f"worker{len(workers)}.log"
                with log.open("w") as file:
                    process = subprocess.Popen(words, **options, stdout=file, stderr=file)
                workers.append((command, process, log))
                continue
            elif shape(small) in ran and "--logdir" not in small:
                continue  # but for its numbers the same as one before, and it would not go on
            ran.add(shape(small))
            result = run(small, checkout)
            assert result.returncode == 0, f"{command}\nrun as: {small}\n{result.stderr}"
    for command, process, log in workers:
        assert process.wait(timeout=TIMEOUT) == 0, f"{command}\n{log.read_text()}"


def test_every_command_is_known():
    found = {kind(command) for page in PAGES for block in blocks(page) for command in block}
    assert found >= {"semisup-train", "semisup-predict", "scripts/quickstart", ".ci/run"}
    with pytest.raises(AssertionError, match="how to run this: make all"):
        kind("make all")
