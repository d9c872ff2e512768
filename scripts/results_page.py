"""Make docs/results.md from the tables that scripts/reproduce.py wrote.

    cp runs/reproduction/table1_mnist.json docs/results/
    .venv/bin/python scripts/results_page.py

A table of which there is no file stands there as not run, with the command that fills it.
"""

from pathlib import Path

from absl import flags
from reproduction.page import read_ranks, read_reports, render_page

from semisup.cli.app import run_main
from semisup.errors import InputError
from semisup.runs.files import write_text

_RESULTS = flags.DEFINE_string(
    "results", "docs/results", "folder with files of reproduce.py and label_free_ranks.py"
)
_OUT = flags.DEFINE_string("out", "docs/results.md", "the page to write")


def main() -> None:
    folder = Path(_RESULTS.value)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}, which --results names")
    write_text(Path(_OUT.value), render_page(read_reports(folder), read_ranks(folder)))
    print(f"wrote {_OUT.value}")


if __name__ == "__main__":
    run_main(main, __doc__)
