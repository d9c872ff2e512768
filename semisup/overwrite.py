"""Starting anew in the folder of an earlier run."""

import shutil
from pathlib import Path

from semisup import checkpoints, runs
from semisup.errors import InputError

_PROJECTOR_FILES = ("embeddings.tsv", "metadata.tsv", "thumbnails.png")


def clear(logdir: Path) -> None:
    """Remove what semisup wrote to a run's folder, and nothing else.

    Where no run was ever recorded, nothing is removed. The lock stays.

    Raises:
        InputError: one of the names is a link. Nothing has been removed then.
    """
    if not (logdir / runs.RECIPE).exists():
        return
    # The result goes first, for without it no half-removed run can pass for a finished
    # one; the recipe goes last, for it says that this is a run's folder.
    found = [
        *_present(logdir, runs.RESULT, runs.EVAL, runs.LABELED, runs.MODEL, runs.METRICS),
        *_present(logdir, *runs.FIGURES, *runs.SUGGESTIONS, runs.PROJECTOR_CONFIG),
        *checkpoints.remains(logdir),
        *logdir.glob(f"events.out.tfevents.*{runs.EVENTS}"),
        *_present(logdir, runs.SPLIT, runs.RECIPE),
    ]
    if (logdir / runs.PROJECTOR).is_dir():
        found[-1:-1] = _present(logdir / runs.PROJECTOR, *_PROJECTOR_FILES)
    for path in (logdir / runs.CHECKPOINTS, logdir / runs.PROJECTOR, *found):
        if path.is_symlink():
            raise InputError(f"{path} is a link, which semisup did not make; remove it yourself")
    for path in found:
        if path.name.endswith(checkpoints.UNFINISHED):
            shutil.rmtree(path)
        else:
            path.unlink()


def _present(logdir: Path, *names: str) -> list[Path]:
    """Those of the files that are there, under their own names or temporary ones."""
    paths = [logdir / f"{prefix}{name}" for name in names for prefix in (runs.TEMPORARY, "")]
    return [path for path in paths if path.is_symlink() or path.is_file()]
