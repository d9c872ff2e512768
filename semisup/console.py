"""How the binaries begin and end."""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence

from absl import app, logging

from semisup.errors import InputError


def run_main(main: Callable[[Sequence[str]], None]) -> None:
    """Run a binary: bad input ends it with one line and status 1, Ctrl-C with 130."""

    def guarded(argv: Sequence[str]) -> None:
        logging.set_verbosity(logging.WARNING)
        if len(argv) > 1:
            sys.exit(f"error: unexpected argument {argv[1]!r}; flags begin with --")
        try:
            main(argv)
        except (InputError, OSError) as error:
            sys.exit(f"error: {' '.join(str(error).split())}")
        except KeyboardInterrupt:
            print("\nStopped. The same command goes on from the last checkpoint.")
            sys.exit(130)

    app.run(guarded)


def load_tensorflow() -> None:
    """Import TensorFlow without the notes on the machine that it prints on the way.

    It writes them straight to file descriptor 2, whatever the level set for its logs
    (TensorFlow 2.21). They are kept back, and shown if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # looks for GPUs, which has its notes too
        except BaseException:
            notes.seek(0)
            os.write(terminal, notes.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
