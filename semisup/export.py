"""Write a trained run's model for use elsewhere: images in, class probabilities out.

    semisup-export --logdir=DIR --format=tflite                  DIR/classifier.tflite
    semisup-export --logdir=DIR --format=onnx --out=digits.onnx  needs the extra [onnx]
    semisup-export --logdir=DIR --format=keras                   loads with Keras alone
    semisup-export --logdir=DIR --format=saved_model             a folder for TensorFlow

The export takes pixels in [0, 255], [N, height, width, channels]; scaling is inside. It is
compared with the run's own network, computed in float32, on labelled images of the run, and kept
only if every probability agrees; where the run computes in half precision and differs by more
than 0.05, a warning says so. The names of the classes, in the order of the probabilities, are
written beside it, one in a line: DIR/classifier.tflite.classes.txt.
"""

from absl import flags

from semisup.cli.app import load_tensorflow, refuse_empty, run_main
from semisup.errors import InputError
from semisup.runs.directory import EXPORT_ENDINGS, RunDirectory
from semisup.runs.files import check_writable, write_text
from semisup.runtime.paths import expanded

_LOGDIR = flags.DEFINE_string("logdir", None, "the folder of the run, as semisup-train wrote it")
_FORMAT = flags.DEFINE_enum("format", "tflite", list(EXPORT_ENDINGS), "format of the export")
_OUT = flags.DEFINE_string(
    "out", None, "file (saved_model: folder) to write; by default classifier.* in --logdir"
)
_PIXELS = flags.DEFINE_enum(
    "pixels", "uint8", ["uint8", "float32"], "type of the pixels that the export takes"
)


def main() -> None:
    if not _LOGDIR.value:
        raise InputError("--logdir is missing; it names the folder of the run")
    refuse_empty("out")
    run, kind = RunDirectory(_LOGDIR.value), _FORMAT.value
    load_tensorflow()  # which --help and bad flags do not need
    from semisup.evaluation.names import in_one_line
    from semisup.inference import exporter, saved_run

    out = expanded(_OUT.value or run.export(kind))
    exporter.check_name(kind, out)
    check_writable(out.parent)
    of_out = RunDirectory(out.parent)
    if out.name == of_out.model.name and of_out.recipe.exists():
        raise InputError(f"{out} would overwrite the model of a run; choose another --out")
    saved = saved_run.load(run)
    difference = exporter.export(saved.model, kind, out, saved.labeled.images, _PIXELS.value)
    names = exporter.classes_file(out)
    write_text(names, "".join(f"{in_one_line(name)}\n" for name in saved.labeled.class_names))
    shape = ", ".join(map(str, saved.labeled.image_shape))
    print(f"wrote {out} (in: {_PIXELS.value} [N, {shape}]) and {names}")
    if len(saved.labeled.values_in):
        black, white = saved.labeled.values_in
        print(
            f"of images with more than 8 bits, values from {black:g} to {white:g} are read as 0 to "
            "255: bring those for the export to bytes likewise"
        )
    print(
        f"on {len(saved.labeled.images)} labelled images its probabilities differ from those of "
        f"the run's network in float32 by {difference:.1e} at most (accepted: "
        f"{exporter.TOLERANCES[kind]:g})"
    )


def console_main() -> None:
    run_main(main, __doc__)


if __name__ == "__main__":
    console_main()
