"""Classify images with a trained run.

    semisup-predict --logdir=DIR photos/                    all images in a folder
    semisup-predict --logdir=DIR 'photos/**/*.jpg' x.npz    globs; an .npz with "images"
    semisup-predict --logdir=DIR photos/ --out=classes.csv

Writes CSV: the image, its class and the probability of that, the labelled image whose
embedding is nearest, that one's class, and the cosine similarity of the two. Images are
brought to the size and the channels that the run was trained on. Of a finished run the
folder is enough; the data set is not needed.

Exit status: 0 if all images were classified, 1 if none (one line says why), 2 if some could
not be read: they are named on standard error, the others are in the CSV.
"""

import csv
import dataclasses
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TextIO

from absl import flags

from semisup.cli.app import load_tensorflow, run_main, with_flags
from semisup.errors import InputError
from semisup.runs.directory import RunDirectory
from semisup.runs.files import is_special, whole
from semisup.runtime.paths import expanded

_LOGDIR = flags.DEFINE_string("logdir", None, "the folder of the run, as semisup-train wrote it")
_OUT = flags.DEFINE_string("out", None, "file to write; by default standard output")
_MAX_MEGAPIXELS = flags.DEFINE_integer(
    "max_megapixels",
    None,
    "refuse images of more than this many million pixels; by default as the run did",
    lower_bound=1,
)

_AT_ONCE = 256  # images, which bounds the memory


def main(*words: str) -> int:
    if not _LOGDIR.value:
        raise InputError("--logdir is missing; it names the folder of the run")
    if not words:
        raise InputError("no images are given; give files, folders, globs or .npz files")
    from semisup.data.image_io import describe_skipped
    from semisup.inference import inputs

    left_out: list[tuple[str, Path]] = []
    files = inputs.find(words, left_out)
    if left_out:
        print(f"left out: {describe_skipped(left_out)}", file=sys.stderr)
    unread = any(inputs.can_not_be_read(path) for _, path in left_out)
    load_tensorflow()  # which --help and bad arguments do not need
    from tqdm import tqdm

    from semisup.inference import saved_run
    from semisup.inference.predictor import COLUMNS, predict_images
    from semisup.runtime.progress import is_line_due, shows_bar, write_line

    out = None if _OUT.value is None else inputs.file_to_write(expanded(_OUT.value), files)
    # The progress display; standard output may be the CSV.
    with redirect_stdout(sys.stderr):
        run = saved_run.load(RunDirectory(_LOGDIR.value))
    # How many images a .npz holds shows when it is read; on a terminal only.
    count = None if any(map(inputs.is_npz, files)) else len(files)
    bar = tqdm(total=count, unit=" images", disable=not shows_bar(sys.stderr))
    skipped, classified = list[InputError](), 0

    def skip(error: InputError) -> None:
        skipped.append(error)
        bar.update()
        tqdm.write(f"skipped: {with_flags(str(error))}", file=sys.stderr)

    with bar, _csv_file(out) as file, redirect_stdout(sys.stderr):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        shape, how = run.labeled.image_shape, run.how
        if _MAX_MEGAPIXELS.value:
            how = dataclasses.replace(how, max_megapixels=_MAX_MEGAPIXELS.value)
        for names, images in inputs.batches(files, shape, _AT_ONCE, skip, how):
            for row in predict_images(run, names, images):
                numbers = (f"{x:.4f}" if isinstance(x, float) else x for x in row)
                writer.writerow(numbers)
            bar.update(len(names))
            classified += len(names)
            if bar.disable and is_line_due():
                write_line(f"{classified:,} images classified")
        if classified == 0:
            where = f"the {len(files)} file{'s' * (len(files) != 1)}"
            raise InputError(f"there is no image that can be read in {where}")
    if out is not None and not is_special(out):  # /dev/stdout is for the CSV alone
        print(f"wrote {_OUT.value}: {classified:,} image{'s' * (classified != 1)} classified")
    if skipped:
        print(f"{len(skipped)} of the files could not be read", file=sys.stderr)
    return 2 if skipped or unread else 0


@contextmanager
def _csv_file(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears under its name once it is whole."""
    if out is None:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is no error
        yield sys.stdout
        return
    # /dev/null or a named pipe can't be replaced, only written to.
    with (
        nullcontext(out) if is_special(out) else whole(out) as place,
        # Names of files may be no UTF-8.
        place.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        yield file


def console_main() -> None:
    run_main(main, __doc__, takes_files=True)


if __name__ == "__main__":
    console_main()
