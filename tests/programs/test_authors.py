"""The authors' published lines, run as they stand, on stand-ins in the original formats."""

import json
import shlex

import numpy as np
import pytest
from scipy.io import savemat

from semisup import recipes
from tests.cli.test_authors import PUBLISHED
from tests.conftest import write_mnist
from tests.data.sources.test_pickles import write_mnistm, write_signs
from tests.data.sources.test_svhn import write_mat
from tests.processes import run

# Given to each line: it is published for thousands of steps, and for batches of 2,000 images.
SMALL = ["--max_steps=5", "--sup_per_batch=2", "--unsup_batch_size=20", "--eval_interval=5"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder for each data set, as the authors' data_dirs.py names them."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("synth", "svhn", "mnist", "gtsrb", "synth_signs", "mnistm"):
        (folder / name).mkdir()
    for name in ("gtsrb", "synth_signs"):
        write_signs(folder / name, name, 86, 43)
    write_mnist(folder / "mnist", 40, 20)
    write_mnistm(folder / "mnistm", 30, 10, 20)
    for split in ("train", "test"):
        write_mat(folder / "svhn" / f"{split}_32x32.mat", 40, seed=0)
        pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3, 40), dtype=np.uint8)
        labels = (np.arange(40) % 10)[:, None]  # from 0, as published
        savemat(folder / "synth" / f"synth_{split}_32x32.mat", {"X": pixels, "y": labels})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_lines_run(name, data, tmp_path):
    place = [f"--data_dir={data}", f"--logdir={tmp_path}"]
    result = run("train", *shlex.split(PUBLISHED[name]), *SMALL, *place)
    assert result.returncode == 0, result.stderr
    assert "all flags have the meaning that they have there" in result.stdout
    record = json.loads((tmp_path / "recipe.json").read_text())["recipe"]
    assert record["compat"] == "authors"
    assert 0 <= record["sup_seed"] < 2**31
    test_set = recipes.RECIPES[name].target_dataset
    size = 32 if "new_size" in PUBLISHED[name] else 0
    words = [f"--dataset={test_set}", "--architecture=svhn_model", f"--new_size={size}"]
    words += ["--eval_batch_size=24", "--eval_interval_secs=3", "--emb_size=128", "--master="]
    result = run("eval", *words, "--timeout=1200", f"--logdir={tmp_path}")
    assert result.returncode == 0, result.stderr
    assert "--eval_batch_size: all test images are evaluated" in result.stdout
    assert "test error" in result.stdout
    # The same line goes on with its seed, which was drawn.
    result = run("train", *shlex.split(PUBLISHED[name]), *SMALL, *place)
    assert "holds this run, which is already finished" in result.stdout
    result = run("eval", "--dataset=usps", f"--logdir={tmp_path}")
    assert result.returncode == 1
    wanted = f"the run was trained and is evaluated with '{test_set}'"
    assert result.stderr.startswith(f"error: --dataset is 'usps', but {wanted}")
