"""Make docs/results.md, and a page for each record beside it, from scripts/reproduce.py's records.

    cp runs/reproduction/table1_mnist.json docs/results/
    .venv/bin/python scripts/results_page.py

A table without a record stands there as not run, with the command that fills it.
"""

from absl import flags
from reproduction import curves, details, page
from reproduction.tables import TABLES

from semisup.cli.app import run_main
from semisup.errors import InputError
from semisup.runs.files import write_text
from semisup.runtime.paths import expanded

_RESULTS = flags.DEFINE_string(
    "results", "docs/results", "folder with files of reproduce.py and label_free_ranks.py"
)
_OUT = flags.DEFINE_string("out", "docs/results.md", "the page to write")


def main() -> None:
    folder = expanded(_RESULTS.value)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}, which --results names")
    found = page.read_records(folder)
    write_text(expanded(_OUT.value), page.render_page(found, page.read_ranks(folder)))
    for name, record in found.items():
        details.write(record, TABLES[record["table"]], folder / f"{name}.md")
        if record["table"] in page.GRIDS:
            paper_data = TABLES[record["table"]].paper_data
            curves.draw_grid(record, paper_data, folder / f"{name}.png")
    for table, of_table in page.with_curves(found).items():
        curves.draw_steps(of_table, folder / f"table{table}_steps.png")
    print(f"wrote {_OUT.value}")


if __name__ == "__main__":
    run_main(main, __doc__)
