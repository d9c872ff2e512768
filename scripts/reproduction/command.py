"""The command lines of a script, for its record."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from absl import flags

# How the work was spread out and where it was written to changes no result.
_UNSAID = ("out", "jobs", "backend")


def added(earlier: Iterable[str], script: str) -> list[str]:
    """Earlier commands and this process's, each once, as a reader would give it: DIR for data.

    Args:
        earlier: those on record.
        script: the script's name.
    """
    words = [".venv/bin/python", f"scripts/{script}"]
    for name in flags.FLAGS:
        flag = flags.FLAGS[name]
        if not flag.present or name in _UNSAID:
            continue
        if name in ("data_dir", "target_data_dir"):
            words.append(f"--{name}=DIR")
        elif name in ("architecture", "weights"):
            words.append(f"--{name}={Path(str(flag.value)).name}")
        else:
            words.append(shlex.quote(flag.serialize()))
    return list(dict.fromkeys([*earlier, " ".join(words)]))
