"""From a folder of one's own images to predictions, by the command line's programs.

The cells (# %%) run one by one, or all at once:

    python docs/tutorial_own_images.py

It takes two or three minutes on two cores. Everything goes to the folder `own_images`.
"""

# %% The images: 200 digits in a folder for each class, 3,000 more without labels, and some new
# ones to classify. Yours are there already; here they are written out of a data set.
import csv
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

import semisup

folder = Path("own_images")
digits = semisup.load_dataset("mnist5k")
labelled = semisup.choose_split(digits, sup_per_class=20, seed=0).labeled
others = np.setdiff1d(np.arange(len(digits.train_images)), labelled)[:3000]


def write_png(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0]).save(path)


for i in labelled:
    name = f"digit_{digits.train_labels[i]}"
    write_png(digits.train_images[i], folder / "photos" / "train" / name / f"{i}.png")
for i in others:
    write_png(digits.train_images[i], folder / "photos" / "unlabeled" / f"{i}.png")
for i in range(200):
    name = f"digit_{digits.test_labels[i]}_{i}.png"
    write_png(digits.test_images[i], folder / "new" / name)


def run(command: str) -> None:
    print(f"$ {command}", flush=True)
    subprocess.run(command.split(), cwd=folder, check=True)


# %% Train. Without photos/test/, a fifth of the labelled images is held out to test on.
run(
    "semisup-train --dataset=folder --data_dir=photos --sup_per_class=-1 --max_steps=300 "
    "--logdir=run"
)

# %% Judge it, and ask which images to label next: run/suggestions.csv and run/suggestions.png.
run("semisup-eval --logdir=run --suggest=20")

# %% Classify new images.
run("semisup-predict --logdir=run new --out=classes.csv")
with (folder / "classes.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
right = [Path(row["path"]).name.startswith(row["class"] + "_") for row in rows]
print(f"{sum(right)} of {len(right)} new digits are classified rightly")

# %% Export, and run the file with nothing but TensorFlow Lite.
run("semisup-export --logdir=run --format=tflite --out=digits.tflite")

import tensorflow as tf  # noqa: E402

interpreter = tf.lite.Interpreter(str(folder / "digits.tflite"))
interpreter.allocate_tensors()
names = (folder / "digits.tflite.classes.txt").read_text(encoding="utf-8").splitlines()
image = np.asarray(Image.open(folder / rows[0]["path"]))[None, ..., None]
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
interpreter.invoke()
probabilities = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
print(f"{rows[0]['path']}: {names[probabilities.argmax()]}, {probabilities.max():.2f}")
