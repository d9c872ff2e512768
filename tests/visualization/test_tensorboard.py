"""What the real TensorBoard server tells of a trained run, over HTTP."""

import io
import json
import urllib.parse
import urllib.request

import matplotlib.image
import pytest
from tensorboard import program

from semisup import recipes
from semisup.training import loop


@pytest.fixture(scope="module")
def get(mnist_dir, tmp_path_factory):
    """Asks a TensorBoard server on a run of 20 steps."""
    logdir = tmp_path_factory.mktemp("tensorboard") / "run"
    small = {"sup_per_batch": 2, "unsup_batch_size": 20, "max_steps": 20, "eval_interval": 10}
    recipe = recipes.get("mnist", data_dir=str(mnist_dir), log_interval=5, **small)
    loop.train(recipe, logdir)
    server = program.TensorBoard()
    # Blocking: the events are read before the server answers for the first time.
    server.configure(
        logdir=str(logdir.parent), port=0, host="127.0.0.1", load_fast="false",
        reload_multifile=True, reload_task="blocking", reload_interval=0,
    )  # fmt: skip
    url = server.launch()

    def ask(path, **query):
        address = f"{url}data/{path}?{urllib.parse.urlencode(query)}"
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(address, timeout=600) as response:
            return response.read()

    return ask


def tags(get, plugin):
    return set(json.loads(get(f"plugin/{plugin}/tags"))["run"])


def test_write_training_and_write_evaluation_make_scalars(get):
    wanted = {
        "test/error",
        "test/balanced_error",
        "test/macro_f1",
        "test_error_per_class/7",
        "train/learning_rate",
        "train/error",
    }
    wanted |= {f"weights/{name}_weight" for name in ("walker", "visit", "logit")}
    losses = ("loss", "walker_loss", "visit_loss", "classification_loss", "l2_loss")
    statistics = ("p_correct", "estimated_accuracy", "visit_entropy")
    wanted |= {f"train/{name}" for name in (*losses, *statistics)}
    names = ("p_correct", "visit_entropy", "agreement", "score")
    wanted |= {f"label_free/{name}" for name in names}
    assert wanted <= tags(get, "scalars")
    series = json.loads(get("plugin/scalars/scalars", run="run", tag="test/error"))
    assert [step for _, step, _ in series] == [0, 10, 20]
    assert series[0][2] > series[-1][2]
    series = json.loads(get("plugin/scalars/scalars", run="run", tag="train/walker_loss"))
    assert [step for _, step, _ in series] == [5, 10, 15, 20]
    series = json.loads(get("plugin/scalars/scalars", run="run", tag="train/learning_rate"))
    assert [rate for _, _, rate in series] == pytest.approx([1e-3] * 4)


def test_write_evaluation_makes_histograms(get):
    wanted = {"walk/visit_probability", "embedding/labelled", "embedding/unlabelled"}
    assert tags(get, "histograms") == wanted
    series = json.loads(
        get("plugin/histograms/histograms", run="run", tag="walk/visit_probability")
    )
    assert [step for _, step, _ in series] == [0, 10, 20]
    assert sum(count for _, _, count in series[-1][2]) == pytest.approx(100)  # of 100 images


def test_write_evaluation_and_write_end_make_images(get):
    at_the_end = {"mistakes", "neighbours"}
    assert tags(get, "images") == {"confusion_matrix", "associations"} | at_the_end
    for tag in at_the_end:
        shown = json.loads(get("plugin/images/images", run="run", tag=tag, sample=0))
        assert [image["step"] for image in shown] == [20]
    shown = json.loads(get("plugin/images/images", run="run", tag="associations", sample=0))
    assert [image["step"] for image in shown] == [0, 10, 20]
    query = dict(urllib.parse.parse_qsl(shown[-1]["query"]))
    pixels = matplotlib.image.imread(io.BytesIO(get("plugin/images/individualImage", **query)))
    assert pixels.shape[1] > 1000
    assert pixels.min() < 0.5 < pixels.max()


def test_write_graph_shows_the_association_cycle(get):
    assert json.loads(get("plugin/graphs/info"))["run"]["run_graph"]
    graph = get("plugin/graphs/graph", run="run", conceptual="false").decode()
    for scope in ("similarity", "p_ab", "p_ba", "p_aba", "walker_loss", "visit_loss"):
        assert f'name: "association/{scope}/' in graph, scope


def test_write_settings_shows_those_that_tell_runs_apart(tmp_path):
    import tensorflow as tf
    from tensorboard.plugins.hparams import plugin_data_pb2

    from semisup.config import Recipe
    from semisup.visualization import tensorboard

    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        latin = b"ch\xe8vre".decode("utf-8", "surrogateescape")
        recipe = Recipe(similarity="dot", visit_weight=0.25, data_dir=latin)
        tensorboard.write_settings(recipe)
    [path] = tmp_path.iterdir()
    contents = [
        value.metadata.plugin_data.content
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]
    shown = {}
    for content in contents:
        data = plugin_data_pb2.HParamsPluginData.FromString(content)
        shown.update(data.session_start_info.hparams)
    assert shown["similarity"].string_value == "dot"
    assert shown["data_dir"].string_value == r"ch\xe8vre"
    assert shown["visit_weight"].number_value == 0.25
    assert shown["sup_per_class"].number_value == 10
    assert "decay_steps" not in shown


def test_write_evaluation_takes_any_class_name_and_shows_the_models_own_walk(tmp_path):
    import keras
    import numpy as np
    import tensorflow as tf

    from semisup.evaluation.metrics import evaluate, predict
    from semisup.losses import association
    from semisup.models.associative_model import AssociativeModel
    from semisup.visualization import tensorboard
    from semisup.visualization.walks import WalkSample

    images = np.random.default_rng(1).integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    names = ("from_$5_to_$10_", b"ch\xe8vre".decode("utf-8", "surrogateescape"), "\u732b")
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    model = AssociativeModel(keras.Sequential(layers), 3, similarity="euclidean", temperature=0.5)
    evaluation = evaluate(model, images, np.arange(30) % 3, names)
    sample = WalkSample(images[:6], images[6:])
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        tensorboard.write_evaluation(10, evaluation, model, sample, sample)
    [path] = tmp_path.iterdir()
    events = tf.compat.v1.train.summary_iterator(str(path))
    found = {value.tag: value.tensor for event in events for value in event.summary.value}
    shown = (names[0], r"ch\xe8vre", names[2])
    errors = [float(tf.make_ndarray(found[f"test_error_per_class/{name}"])) for name in shown]
    predicted = evaluation.logits.argmax(axis=1)
    by_hand = [100 * np.mean(predicted[c::3] != c) for c in range(3)]
    np.testing.assert_allclose(errors, by_hand, rtol=1e-6)
    A, B = (predict(model, part).embeddings for part in sample)
    visits = association.p_visit(association.walk(A, B, "euclidean", 0.5).P_ab).numpy()
    buckets = tf.make_ndarray(found["walk/visit_probability"])  # the left edge, the right, a count
    assert (buckets[0, 0], buckets[-1, 1]) == pytest.approx((visits.min(), visits.max()))
