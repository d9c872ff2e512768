"""What all programs share: flags, help, warnings, errors, the import of TensorFlow."""

import dataclasses
import gc
import io
import logging as python_logging
import os
import platform
import re
import signal
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags, logging

from semisup.cli import authors
from semisup.config import GROUPS, Recipe
from semisup.errors import InputError
from semisup.runtime import keras_settings, signals

# The groups of flags in --help, beside the program's own; absl keeps them as names of modules.
FLAG_GROUPS = (*GROUPS, authors.GROUP)

_SETTINGS = frozenset(field.name for field in dataclasses.fields(Recipe))

_ADVICE = re.compile(r" \([^()`]*`(\w+)(?:=[^`]*)?`[^()]*\)")

_HELP = frozenset(("--help", "-h", "--helpful", "--helpfull", "--helpshort"))


def run_main(
    main: Callable[..., int | None],
    description: str,
    takes_files: bool = False,
    first_flags: Sequence[str] = (),
) -> None:
    """Run a program: bad input ends it with one line and status 1, Ctrl-C with 130.

    Args:
        main: what the program does; given the words that are no flags, if it takes any.
            What it returns is the exit status.
        description: stands above the flags in --help.
        takes_files: whether words that are no flags are allowed. What it prints may then be
            read by a program, and its warnings go to standard error.
        first_flags: those that --help explains, where they are a few of many; it then names the
            others in groups, and --helpfull explains all.
    """

    def parse(argv: Sequence[str]) -> Sequence[str]:
        # absl's own --help finds no flags in a program that pip installed.
        if not _HELP.isdisjoint(argv[1:]):
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `--help | head` is no error
            shown = () if "--helpfull" in argv else first_flags
            print(f"{description}\n{_some_flags_help(shown) if shown else _all_flags_help()}")
            sys.exit(0)
        try:
            flags.FLAGS.set_gnu_getopt(True)  # flags may follow files
            arguments = flags.FLAGS(authors.with_values(list(argv)))
        except (flags.Error, ValueError) as error:  # the latter of --noFLAG=VALUE
            sys.exit(f"error: {error}; --helpfull lists the flags")
        if len(arguments) > 1 and not takes_files:
            sys.exit(f"error: unexpected argument {arguments[1]!r}; flags begin with --")
        return arguments

    def guarded(argv: Sequence[str]) -> int | None:
        signals.treat_alike()  # so that nothing half-written stays
        logging.set_verbosity(logging.WARNING)
        logging.get_absl_handler().setFormatter(_Warnings())
        logging.get_absl_handler().python_handler.stream = sys.stderr if takes_files else sys.stdout
        try:
            return main(*argv[1:])
        except (InputError, OSError, MemoryError) as error:
            sys.exit(f"error: {with_flags(' '.join(str(error).splitlines())) or 'out of memory'}")
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            if type(error).__name__ != "ResourceExhaustedError":  # of TensorFlow, if it is loaded
                raise
            sys.exit("error: out of memory; free some, or use a machine with more")

    _open_streams()
    app.run(guarded, flags_parser=parse)


class _UntilClosed(io.FileIO):
    """A stream that drops its output once its reader is gone: `| head -1` ends no run."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def _open_streams() -> None:
    """Make standard streams writable even if they are closed now (`2>&-`) or later."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        encoding = stream.encoding if stream else "utf-8"
        utf8 = encoding.lower().replace("-", "") == "utf8"
        if stream is getattr(sys, f"__{name}__"):  # else a test or a notebook has its own there
            setattr(
                sys,
                name,
                io.TextIOWrapper(
                    io.BufferedWriter(_UntilClosed(number, "w", closefd=False)),
                    encoding=encoding,
                    # For names of files that are no UTF-8, and locales that know few characters.
                    errors="surrogateescape" if utf8 else "backslashreplace",
                    line_buffering=True,  # into a file, too: who looks at it waits for news
                ),
            )


class _Warnings(python_logging.Formatter):
    """What the library logs, as a person who gave flags reads it."""

    def format(self, record: python_logging.LogRecord) -> str:
        return f"{record.levelname.lower()}: {with_flags(record.getMessage())}"


def refuse_empty(*names: str) -> None:
    """Raise InputError if a flag that names a path is given and empty, as of an unset variable."""
    for name in names:
        if flags.FLAGS[name].value == "":
            raise InputError(f"--{name} is empty; give a path, or leave it out")


def with_flags(message: str) -> str:
    """Name the arguments in a message of the library as this program's flags.

    `` `new_size=N` `` becomes --new_size=N, if there is such a flag. Advice in parentheses that
    names a setting of training is left out where training is not what the program does; elsewhere
    such a setting is said to be semisup-train's.
    """

    def of_training_only(name: str) -> bool:
        return name not in flags.FLAGS and name in _SETTINGS

    def as_flag(match: re.Match[str]) -> str:
        if of_training_only(match[1]):
            return f"semisup-train's --{match[1]}{match[2]}"
        return f"--{match[1]}{match[2]}" if match[1] in flags.FLAGS else match[0]

    message = _ADVICE.sub(lambda m: "" if of_training_only(m[1]) else m[0], message)
    return re.sub(r"`(\w+)((?:=[^`]*)?)`", as_flag, message)


def load_tensorflow() -> None:
    """Import TensorFlow as fast as it can be, without the notes on the machine that it prints.

    It writes them straight to file descriptor 2, whatever the level set for its logs
    (TensorFlow 2.21). They are kept back, and shown if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if platform.machine() in ("x86_64", "AMD64"):
        # TensorFlow uses oneDNN by itself only on processors with AVX-512 VNNI. Its own
        # convolutions, built for any processor, are far slower on the others: docs/performance.md.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    keras_settings.prepare_environment()
    os.environ["MPLBACKEND"] = "agg"  # no program here opens a window, and it may name anything
    # The many objects that imports make are no garbage: collections would go through them, and
    # through all of them again in tracing, for half a second. Only the first call imports; later
    # ones, as in each run of a comparison, must not keep what that run has left behind.
    importing = "tensorflow" not in sys.modules
    if importing:
        gc.disable()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            with keras_settings.without_extras():
                import tensorflow as tf

            keras_settings.use_defaults()
            # Else a GPU multiplies float32 matrices with 10 bits, those of the association too.
            tf.config.experimental.enable_tensor_float_32_execution(False)
            tf.config.list_physical_devices()  # looks for GPUs, which has its notes too
            # Keras's predict is traced for each size of batch, and TensorFlow warns of it.
            tf.get_logger().setLevel("ERROR")
        except BaseException:
            notes.seek(0)
            os.write(terminal, notes.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            if importing:
                gc.freeze()
                gc.enable()


def _all_flags_help() -> str:
    """Every flag of the program with its meaning and default, by group."""
    groups = _flags_by_group()
    parts = []
    for group, defined in groups.items():
        parts.append(f"\n{group}:" if len(groups) > 1 else "Flags:")
        parts += [_flag_help(flag) for flag in defined]
    return "\n".join(parts)


def _some_flags_help(names: Sequence[str]) -> str:
    """These flags with their meaning and default, and the names of the others by group."""
    parts = ["Main flags:", *(_flag_help(flags.FLAGS[name]) for name in names)]
    parts.append("\nOther flags, described by --helpfull:")
    for group, defined in _flags_by_group().items():
        listed = " ".join(f"--{flag.name}" for flag in defined if flag.name not in names)
        text = f"{group.lower()}: {listed}"
        parts.append(textwrap.fill(text, 90, initial_indent="  ", subsequent_indent=" " * 6))
    return "\n".join(parts)


def _flags_by_group() -> dict[str, list[flags.Flag]]:
    """The program's flags in the order of definition; those of a recipe in its groups."""
    groups: dict[str, list[flags.Flag]] = {}
    for module, defined in flags.FLAGS.flags_by_module_dict().items():
        if not module.startswith("absl."):
            groups.setdefault(module if module in FLAG_GROUPS else "Run", []).extend(defined)
    return groups


def _flag_help(flag: flags.Flag) -> str:
    default = "none" if flag.default is None else str(flag.default_as_str).strip("'")
    text = with_flags(f"{flag.help} [{default}]")
    text = textwrap.fill(text, 88, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return f"  --{flag.name}\n{text}"
