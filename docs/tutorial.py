"""Learning by association in Python: data, model, training, figures, prediction, export.

The cells (# %%) run one by one in VS Code, Spyder or Jupyter (with jupytext), or all at once:

    python docs/tutorial.py

It takes a minute or two on two cores. Pictures and exports go to the folder `tutorial`.
"""

# %% Data: 5,000 real digits, no download. 100 of them keep their labels, ten of each class.
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import semisup

tf.get_logger().setLevel("ERROR")  # it warns of each new size of batch

folder = Path("tutorial")
folder.mkdir(exist_ok=True)

digits = semisup.load_dataset("mnist5k")
split = semisup.choose_split(digits, sup_per_class=10, seed=0)
images, labels = digits.train_images[split.labeled], digits.train_labels[split.labeled]
print(f"{len(images)} labelled digits, {len(digits.train_images)} without labels")

# %% A batch: ten labelled images of each class, then 100 images with the label -1, "none".
batches = semisup.association_batches(images, labels, digits.train_images, seed=0)
batch_images, batch_labels = next(iter(batches))
print(f"a batch: {batch_images.shape}, labels from {min(batch_labels)} to {max(batch_labels)}")

# %% Model: any Keras network from raw pixels to an embedding; this is the paper's for MNIST.
keras.utils.set_random_seed(0)
network = semisup.mnist_model()
model = semisup.AssociativeModel(network, num_classes=10)
untrained = keras.models.clone_model(network)
untrained.set_weights(network.get_weights())

# %% Fit. The walker loss and the visit loss come from the unlabelled images.
steps = 300
model.compile(keras.optimizers.Adam(1e-3))
model.fit(batches, steps_per_epoch=steps // 3, epochs=3, verbose=2)
results = model.evaluate(digits.test_images, digits.test_labels, return_dict=True, verbose=0)
print(f"test error: {results['error']:.1f} %")

# %% Figures: walks from labelled digits (green) to unlabelled ones (red) and back.
from semisup import evaluation, visualization  # noqa: E402
from semisup.data.labeled_data import LabeledData  # noqa: E402

sample = visualization.choose_walk_sample(LabeledData(digits, split))
before = semisup.AssociativeModel(untrained, num_classes=10)
models = {"before training": before, "after training": model}
visualization.save(visualization.association_figure(models, sample), folder / "walks.png")
found = evaluation.evaluate(model, digits.test_images, digits.test_labels, digits.class_names)
visualization.save(visualization.confusion_figure(found.report), folder / "confusion.png")
print(found.report.table())

# %% Predict: logits and embeddings; the walk itself is a function of embeddings.
outputs = model.predict(digits.test_images[:5], verbose=0)
print("predicted:", outputs["logits"].argmax(axis=1), " true:", digits.test_labels[:5])
A = model.predict(images, verbose=0)["embedding"]
steps_of_walk = semisup.walk(A, outputs["embedding"])
back_to = labels[np.argmax(steps_of_walk.P_ba, axis=1)]
print("the walker steps back from them to digits of the classes", back_to)

# %% Export: a file that needs TensorFlow Lite only, checked while it is written.
from semisup.inference import exporter  # noqa: E402

real = digits.test_images[:100]
difference = exporter.export(model, "tflite", folder / "digits.tflite", real)
print(f"wrote {folder / 'digits.tflite'}; probabilities differ by {difference:.1e} at most")
