"""Starting anew in the folder of an earlier run, and what must not be written to."""

import shutil
from pathlib import Path

from semisup.runs import files
from semisup.runs import checkpoints
from semisup.runs import locks
from semisup.runs import directory
from semisup.errors import InputError
from semisup.config import Recipe

_PROJECTOR_FILES = ("embeddings.tsv", "metadata.tsv", "thumbnails.png")


def clear(logdir: Path) -> None:
    """Remove what semisup wrote to a run's folder, and nothing else.

    Where no run was ever recorded, nothing is removed. The lock stays.

    Raises:
        InputError: one of the names is a link. Nothing has been removed then.
    """
    if not (logdir / directory.RECIPE).exists():
        return
    refuse_links(logdir)
    for path in _written(logdir):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def refuse_needed(logdir: Path, recipe: Recipe) -> None:
    """Stop where a run would remove what it begins with.

    Raises:
        InputError: the recipe takes its network, its first weights or its labels from the run in
            `logdir`.
    """
    inside = (logdir.resolve(), (logdir / directory.MODEL).resolve(), (logdir / directory.SPLIT).resolve())
    for name in ("init_from", "teacher", "architecture", "weights", "split_file"):
        needed = getattr(recipe, name)
        if needed and Path(needed).resolve() in inside:
            raise InputError(
                f"--overwrite would remove the run in {logdir}, which --{name} needs; choose "
                "another --logdir"
            )


def refuse_links(logdir: Path) -> None:
    """Stop where writing to a run's folder would write elsewhere.

    Raises:
        InputError: a file or folder that semisup writes to there is a link.
    """
    folders = (logdir / directory.CHECKPOINTS, logdir / directory.PROJECTOR)
    for path in (logdir / locks.LOCK, *folders, *_written(logdir)):
        if path.is_symlink():
            raise InputError(f"{path} is a link, which semisup did not make; remove it yourself")


def _written(logdir: Path) -> list[Path]:
    """All that semisup wrote to a run's folder, but for the lock, in the order to remove it."""
    # The result goes first, for without it no half-removed run can pass for a finished
    # one; the recipe goes last, for it says that this is a run's folder.
    return [
        *_present(logdir, directory.RESULT, directory.EVAL, directory.LABELED, directory.MODEL, directory.METRICS),
        *_present(logdir, directory.TAUGHT, *directory.FIGURES, *directory.SUGGESTIONS, directory.PROJECTOR_CONFIG),
        *_exports(logdir / directory.EXPORT),
        *checkpoints.remains(logdir),
        *logdir.glob(f"events.out.tfevents.*{directory.EVENTS}"),
        *_present(logdir / directory.PROJECTOR, *_PROJECTOR_FILES),
        *_present(logdir, directory.SPLIT, directory.RECIPE),
    ]


def _exports(path: Path) -> list[Path]:
    """What semisup-export wrote under this name, where nothing else was asked for."""
    endings = (*filter(None, directory.EXPORT_ENDINGS.values()), directory.CLASSES_ENDING)
    files = _present(path.parent, *(f"{path.name}{ending}" for ending in endings))
    is_export = path.is_symlink() or (path / "saved_model.pb").is_file()
    return [*files, path] if is_export else files


def _present(folder: Path, *names: str) -> list[Path]:
    """Those of the files that are there, under their own names or temporary ones."""
    paths = [folder / f"{prefix}{name}" for name in names for prefix in (files.TEMPORARY, "")]
    return [path for path in paths if path.is_symlink() or path.is_file()]
