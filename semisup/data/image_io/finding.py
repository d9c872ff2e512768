"""Find images in folders, and report which files were left out and why.

Names that a system or a program makes for itself (`.ipynb_checkpoints`, `._photo.jpg`,
`__MACOSX`, `Thumbs.db`) are never an image, nor a folder with images. Links are followed.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from semisup.data.image_io import formats

# Beside all that begins with a dot. In lower case.
_OF_SYSTEMS = frozenset(
    (
        *("__macosx", "@eadir", "@recycle", "#recycle", "$recycle.bin", "lost+found"),
        *("system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    )
)

_HIDDEN = "hidden or system files"
_LINKS_TO_NOTHING = "broken links"

_SHOWN = 6  # reasons, at most, in a line


@dataclass(frozen=True)
class Found:
    """The result of searching a folder.

    Attributes:
        images: the image files, in the order of their names.
        skipped: what was left out, each with the reason.
    """

    images: list[Path] = field(default_factory=list)
    skipped: list[tuple[str, Path]] = field(default_factory=list)


def find_images(folder: Path) -> Found:
    """Find the image files in a folder and in all folders below it.

    Links to folders are followed; each folder is read once, and none that holds `folder`.
    """
    found = Found()
    here = folder.resolve()
    seen = {_identity(path) for path in (here, *here.parents) if path.exists()}
    waiting: list[Path] = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            found.skipped.append((f"folders that can't be read ({error.strerror})", here))
            continue
        for entry in entries:
            path = Path(entry.path)
            # Which asks the system about links only.
            kind = path_kind(path) if entry.is_symlink() else _kind_of(entry)
            if kind == "folder" and is_visible(entry.name):
                identity = _identity(path)
                if identity in seen:
                    found.skipped.append(("links to a folder that is already read", path))
                else:
                    seen.add(identity)
                    waiting.append(path)
            elif reason := skipped_reason(path, kind):
                found.skipped.append((reason, path))
            elif is_visible(entry.name):
                found.images.append(path)
    found.images.sort()
    return found


def skipped_reason(path: Path, kind: str) -> str | None:
    """Say why a file or folder is no image to take.

    Args:
        path: for its name.
        kind: "file", "folder", "nothing" (a link that leads nowhere) or "other".

    Returns:
        None for an image, and for what is not worth a word.
    """
    if not is_visible(path.name):
        of_interest = kind == "folder" or path.suffix.lower() in formats.endings()
        return _HIDDEN if of_interest else None
    if kind == "nothing":
        return _LINKS_TO_NOTHING
    ending = path.suffix.lower()
    if kind == "file" and ending in formats.endings():
        return None
    if kind == "file" and (plugin := formats.missing_plugin(ending)):
        return f"{ending} files, which need `pip install {plugin}`"
    if kind == "file":
        return f"{ending} files, which are not images" if ending else "files without an ending"
    return "entries that are not files"


def describe_skipped(skipped: Iterable[tuple[str, Path]]) -> str:
    """Say in a line what was left out and why: "12 .txt files, which are not images"."""
    by_reason: dict[str, list[Path]] = {}
    for reason, path in skipped:
        by_reason.setdefault(reason, []).append(path)
    most = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    parts = [f"{len(paths):,} {reason} (such as {paths[0]})" for reason, paths in most[:_SHOWN]]
    others = sum(len(paths) for _, paths in most[_SHOWN:])
    return "; ".join([*parts, *([f"{others:,} others"] if others else [])])


def is_visible(name: str) -> bool:
    """Whether a name may be that of a class, a folder or an image of a person's."""
    return not name.startswith(".") and name.casefold() not in _OF_SYSTEMS


def is_unlabeled_folder(name: str) -> bool:
    """Whether a folder's name says that its images have no labels, in any spelling."""
    letters = "".join(c for c in name.casefold() if c.isalnum())
    return letters in ("unlabeled", "unlabelled")


def path_kind(path: Path) -> str:
    """What a path leads to, links followed: "file", "folder", "nothing" or "other"."""
    try:
        mode = path.stat().st_mode
    except OSError:  # also of links in a circle
        return "nothing"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "other"


def children(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield what lies in a folder, in the order of the names, and what each leads to."""
    for path in sorted(folder.iterdir()):
        yield path, path_kind(path)


def _kind_of(entry: "os.DirEntry[str]") -> str:
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def _identity(path: Path) -> tuple[int, int]:
    """The same for the same folder, whichever way leads there."""
    status = path.stat()
    return status.st_dev, status.st_ino
