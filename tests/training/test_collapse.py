"""The warnings: on walks that are so by construction, in a run, and in `fit`."""

import dataclasses
import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import semisup
from semisup.config import Recipe
from semisup.errors import InputError
from semisup.losses import association
from semisup.runs.directory import RunDirectory
from semisup.training import collapse, loop

pytestmark = pytest.mark.usefixtures("without_pictures")

LABELS = np.repeat(np.arange(10), 10)
RANDOM = np.random.default_rng(0)
WALK = collapse.WalkSize(labeled=100, unlabeled=100, classes=10)


def logs(A, B):
    losses = association.association_losses(A, B, LABELS)
    return {
        "walker_loss": float(losses.walker),
        "visit_loss": float(losses.visit),
        "visit_entropy": float(losses.visit_entropy),
    }


CLUSTERS = 6.0 * np.eye(10)
HEALTHY = logs(CLUSTERS[LABELS], CLUSTERS[LABELS] + RANDOM.normal(0, 0.05, (100, 10)))
UNIFORM = logs(np.ones((100, 10)), np.ones((100, 10)) + RANDOM.normal(0, 1e-3, (100, 10)))
UNREACHABLE = {**HEALTHY, "visit_loss": HEALTHY["visit_loss"] + 0.7}


def test_collapse_of_a_healthy_walk_is_none():
    assert HEALTHY["walker_loss"] < 2.4  # else it is no healthy one
    assert collapse.collapse(HEALTHY, WALK, begun=True) is None
    assert collapse.unreachable_visits(HEALTHY, WALK) is None


@pytest.mark.parametrize("begun", [False, True])
def test_collapse_to_few_samples_is_seen(begun):
    B = np.zeros((100, 10))
    B[::20] = 6.0  # like the samples of every class
    found = collapse.collapse(logs(CLUSTERS[LABELS], B), WALK, begun)
    assert found == "it visits about 5 of 100 unlabelled images"


@pytest.mark.parametrize("begun", [False, True])
def test_collapse_into_wrong_classes_is_seen(begun):
    """Every B_j is like one A of another class: no walk ever comes home."""
    A = 6.0 * np.eye(100)
    B = A + 5.0 * np.roll(A, 10, axis=0)  # steps from i to i, and from there to i + 10
    found = collapse.collapse(logs(A, B), WALK, begun)
    assert found.startswith("it mostly ends in a wrong class (walker loss ")
    assert found.endswith("; a random walk has 4.6)")


def test_collapse_to_alike_embeddings_is_seen_once_training_has_begun():
    assert "equally likely" in collapse.collapse(UNIFORM, WALK, begun=True)
    assert collapse.collapse(UNIFORM, WALK, begun=False) is None
    # Of one class the same losses are those of a good walk.
    assert collapse.collapse(UNIFORM, WALK._replace(classes=1), begun=True) is None


EVEN = math.log(100)  # the walker loss and the entropy of a walk whose steps are all alike


@pytest.mark.parametrize(
    ("walker_loss", "visit_entropy", "begun", "sign"),
    [
        (1.0, math.log(9.9), False, "it visits about 10 of 100 unlabelled images"),
        (1.0, math.log(10.1), False, None),
        (EVEN + 0.51, EVEN, False, "it mostly ends in a wrong class"),
        (EVEN + 0.49, EVEN, False, None),
        (EVEN - 0.019, EVEN - 0.019, True, "all its steps are equally likely"),
        (EVEN - 0.021, EVEN, True, None),
        (EVEN, EVEN - 0.021, True, None),
    ],
)
def test_collapse_begins_at_its_thresholds(walker_loss, visit_entropy, begun, sign):
    walk = {"walker_loss": walker_loss, "visit_entropy": visit_entropy}
    found = collapse.collapse(walk, WALK, begun)
    assert found.startswith(sign) if sign else found is None


def test_unreachable_visits_begin_at_their_threshold():
    assert collapse.unreachable_visits({"visit_loss": EVEN + 0.49}, WALK) is None
    found = collapse.unreachable_visits({"visit_loss": EVEN + 0.51}, WALK)
    assert found.startswith("the visit loss stays 0.5 above its minimum")


def test_unreachable_visits_are_those_of_classes_without_labels():
    """Half of B lies where no A does."""
    A, B = np.eye(20)[LABELS], np.eye(20)[np.arange(100) % 20]
    walk = logs(6.0 * A, 6.0 * B)
    assert collapse.collapse(walk, WALK, begun=True) is None
    assert "virtual_embeddings" in collapse.unreachable_visits(walk, WALK)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"similarity": "dot"}, "try `similarity=cosine`, which bounds the similarities"),
        ({}, "try a lower `learning_rate`, or a higher `temperature` than 0.16"),
    ],
)
def test_advice_fits_the_settings(options, wanted):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model = semisup.AssociativeModel(network, 2, **options)
    model.compile(keras.optimizers.SGD(0.01))
    assert collapse.advice(model) == wanted


def monitor(weight=1.0, replicas=1, **settings):
    """Of a run of 100 steps whose walker loss has this weight, at each step, and 1 in the end."""

    def walker_weight(step):
        return weight(step) if callable(weight) else weight

    walker_weight.final_weight = 1.0
    model = SimpleNamespace(
        distribute_strategy=SimpleNamespace(num_replicas_in_sync=replicas),
        loss_schedules={"walker_weight": walker_weight, "visit_weight": semisup.Envelope(1.0)},
        similarity="dot",
        association_scope=settings.get("association_scope", "global"),
        virtual_embeddings=0,
    )
    recipe = Recipe(max_steps=100, sup_per_batch=10, unsup_batch_size=100, **settings)
    return collapse.CollapseMonitor(SimpleNamespace(recipe=recipe, labeled_in_batch=100), model)


def test_collapse_monitor_is_silent_while_the_walker_loss_grows():
    for weight, signs in ((0.0, 0), (0.5, 0), (1.0, 1)):
        watch = monitor(weight)
        assert len([*watch.new_warnings(30, UNIFORM)]) == signs
        assert watch.collapsed == bool(signs)
    assert [*monitor(0.0).new_warnings(60, UNREACHABLE)] == []


def test_collapse_monitor_does_not_speak_of_visits_while_their_loss_grows():
    watch = monitor(log_interval=10)
    watch._model.loss_schedules["visit_weight"] = semisup.Envelope(1.0, "linear", 20, 40)
    assert [*watch.new_warnings(50, UNREACHABLE)] == []
    assert [*watch.new_warnings(69, UNREACHABLE)] == []  # of steps since 59
    assert [line[:21] for line in watch.new_warnings(70, UNREACHABLE)] == ["the visit loss stays "]


def test_collapse_monitor_says_once_what_is_there_now():
    watch = monitor()
    assert [*watch.new_warnings(24, UNIFORM)] == []  # which the initial weights may be
    [line] = watch.new_warnings(25, UNIFORM)
    assert line.startswith("the walk has collapsed at step 25: all its steps are equally likely")
    for walk, collapsed in ((UNIFORM, True), (HEALTHY, False), (UNIFORM, True)):
        assert [*watch.new_warnings(30, walk)] == []
        assert watch.collapsed is collapsed


def test_collapse_monitor_says_once_that_visits_are_unreachable():
    watch = monitor()
    signs = [[*watch.new_warnings(step, UNREACHABLE)] for step in (49, 50, 51)]
    assert [len(lines) for lines in signs] == [0, 1, 0]
    assert signs[1][0].startswith("the visit loss stays 0.")
    assert watch.collapsed is False


@pytest.mark.parametrize(("scope", "collapsed"), [("global", False), ("replica", True)])
def test_collapse_monitor_knows_how_large_a_walk_is(scope, collapsed):
    """The losses are those of a uniform walk over 50 samples of each, half of a batch."""
    watch = monitor(replicas=2, association_scope=scope)
    entropy = {"visit_loss": math.log(50), "visit_entropy": math.log(50)}
    assert len([*watch.new_warnings(40, {"walker_loss": math.log(50), **entropy})]) == collapsed
    assert watch.collapsed is collapsed


@pytest.mark.parametrize("virtual", [0, 6])
def test_run_warns_once_and_says_so_in_its_result(tiny, tmp_path, caplog, virtual):
    # A learning rate at which nothing can be learned: the initial weights' walks are uniform.
    tiny = dataclasses.replace(tiny, log_interval=1, virtual_embeddings=virtual)
    recipe = dataclasses.replace(
        tiny, learning_rate=1e-12, temperature=1e3, remove_classes=1, max_steps=8
    )
    result = loop.train(recipe, tmp_path)
    assert caplog.text.count("the walk has collapsed at step 2: all its steps are equally") == 1
    unlabelled_class = caplog.text.count("no image of 2 is labelled: the visit loss")
    assert unlabelled_class == (0 if virtual else 1)  # virtual embeddings are what it advises
    assert len(_said(caplog)) == 1 + unlabelled_class
    assert result["collapsed"] is True
    assert RunDirectory(tmp_path).read_result() == result


def test_run_without_a_visit_loss_is_warned_about_too(tiny, tmp_path, caplog):
    tiny = dataclasses.replace(tiny, log_interval=2, visit_weight=0.0)
    result = loop.train(
        dataclasses.replace(tiny, learning_rate=1e-12, temperature=1e3, max_steps=8), tmp_path
    )
    assert caplog.text.count("all its steps are equally likely") == 1
    assert result["collapsed"] is True


def test_few_visits_are_no_collapse_without_a_visit_loss():
    few = {**HEALTHY, "visit_entropy": math.log(2.0)}
    assert collapse.collapse(few, WALK, begun=True) is not None
    assert collapse.collapse(few, WALK, begun=True, visits=False) is None


def _said(caplog):
    """Our warnings: TensorFlow warns of models that are compiled anew."""
    return [record.getMessage() for record in caplog.records if record.name == "absl"]


def images_all_alike(optimizer="sgd", **settings):
    """20 labelled and 20 unlabelled images, their labels, and a model that embeds them alike."""
    images, labels = np.ones((40, 4), "float32"), np.r_[np.arange(20) % 2, np.full(20, -1)]
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    network.set_weights([np.eye(4, 3, dtype="float32"), np.zeros(3, "float32")])
    model = semisup.AssociativeModel(network, 2, **settings)
    model.compile(optimizer)
    return images, labels, model


def test_collapse_warning_in_fit(caplog):
    images, labels, model = images_all_alike()
    warning = semisup.CollapseWarning(labeled=20, unlabeled=20, every=2)
    model.fit(images, labels, batch_size=40, epochs=12, verbose=0, callbacks=[warning])
    assert len(_said(caplog)) == 1
    assert _said(caplog)[0].startswith("the walk has collapsed at step 8: all its steps")


def test_collapse_warning_says_nothing_of_batches_without_a_walk(caplog):
    images, labels, model = images_all_alike()
    warning = semisup.CollapseWarning(labeled=20, unlabeled=20, every=2)
    model.fit(images, np.abs(labels), batch_size=20, epochs=6, verbose=0, callbacks=[warning])
    [line] = _said(caplog)
    assert line.startswith("no batch had both labelled and unlabelled images")  # by `fit`


def test_collapse_warning_counts_virtual_embeddings(monkeypatch):
    images, labels, model = images_all_alike(keras.optimizers.SGD(0.0), virtual_embeddings=16)
    warning = semisup.CollapseWarning(labeled=20, unlabeled=20, every=2)
    walks = []
    monkeypatch.setattr(collapse, "collapse", lambda logs, walk, *_: walks.append(walk))
    model.fit(images, labels, batch_size=40, epochs=2, verbose=0, callbacks=[warning])
    assert walks[0] == collapse.WalkSize(36, 20, 18)


def test_walk_of_is_that_of_all_devices_or_of_each_alone():
    strategy = SimpleNamespace(num_replicas_in_sync=4)
    model = SimpleNamespace(distribute_strategy=strategy, virtual_embeddings=6, num_classes=10)
    for scope, walk in (("global", (106, 200, 16)), ("replica", (31, 50, 16))):
        model.association_scope = scope
        assert collapse.walk_of(model, 100, 200, 10) == walk
    assert collapse.walk_of(model, 3, 2, 10) == (7, 1, 16)  # log(0) would end a training


@pytest.mark.parametrize(("scope", "told"), [("global", 1), ("replica", 0)])
def test_collapse_warning_knows_that_replicas_share_a_batch(caplog, scope, told):
    warning = semisup.CollapseWarning(labeled=100, unlabeled=100)
    visit_loss = keras.metrics.Mean()
    visit_loss.update_state(math.log(25))
    strategy = SimpleNamespace(num_replicas_in_sync=4)
    warning.set_model(
        SimpleNamespace(
            distribute_strategy=strategy,
            association_scope=scope,
            virtual_embeddings=0,
            num_classes=10,
            means={"visit_loss": visit_loss},
        )
    )
    warning.on_train_batch_end(0, {"visit_loss": math.log(25)})
    assert len(_said(caplog)) == told


def test_missing_classes_names_a_few_in_one_line():
    line = collapse.missing_classes(["a\nb", *map(str, range(400))])
    assert "no image of a\\nb, 0, 1, 2, 3, 4, 5, 6 and 393 more is labelled" in line


def test_collapse_warning_looks_whatever_steps_are_taken_at_once(caplog):
    images, labels, model = images_all_alike()
    model.compile("sgd", steps_per_execution=4)
    warning = semisup.CollapseWarning(labeled=20, unlabeled=20, every=3)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat(16)
    model.fit(batches, verbose=0, callbacks=[warning])
    # From step 12, four times `every`, on.
    assert _said(caplog)[0].startswith("the walk has collapsed at step 12: all its steps")
    model.fit(batches, verbose=0, callbacks=[warning])
    assert len(_said(caplog)) == 2  # once in each `fit`


def test_collapse_warning_waits_until_the_walk_has_its_weight(caplog):
    grows = semisup.Envelope(1.0, kind="linear", steps=4, delay=10)
    images, labels, model = images_all_alike(walker_weight=grows, visit_weight=1.0)
    warning = semisup.CollapseWarning(labeled=20, unlabeled=20, every=2)
    model.fit(images, labels, batch_size=40, epochs=12, verbose=0, callbacks=[warning])
    assert _said(caplog) == []
    model.fit(images, labels, batch_size=40, epochs=4, verbose=0, callbacks=[warning])
    # The weight is whole from the step after 14 on.
    assert _said(caplog)[0].startswith("the walk has collapsed at step 15: all its steps")


@pytest.mark.parametrize("loss", ["walker", "visit"])
def test_collapse_warning_waits_for_both_losses(caplog, loss):
    grows = {f"{loss}_weight": semisup.Envelope(1.0, kind="linear", steps=1, delay=30)}
    images, labels, model = images_all_alike(**grows)
    warning = semisup.CollapseWarning(labeled=20, unlabeled=20, every=2)
    model.fit(images, labels, batch_size=40, epochs=28, verbose=0, callbacks=[warning])
    assert _said(caplog) == []
    model.fit(images, labels, batch_size=40, epochs=8, verbose=0, callbacks=[warning])
    assert _said(caplog)[0].startswith("the walk has collapsed at step 3")


def test_collapse_warning_passes_over_what_was_before_the_walk_had_its_weight(caplog):
    """Embeddings that are alike until then, and apart ever after: in one epoch."""
    images, labels, model = images_all_alike(
        keras.optimizers.SGD(0.0), walker_weight=semisup.Envelope(1.0, "linear", 1, 40)
    )
    apart = np.eye(4, dtype="float32")[np.where(labels < 0, np.arange(40) % 2, labels)]

    def batches(count_alike, count_apart):
        alike, others = (tf.data.Dataset.from_tensors((x, labels)) for x in (images, 99 * apart))
        return alike.repeat(count_alike).concatenate(others.repeat(count_apart))

    warning = semisup.CollapseWarning(labeled=20, unlabeled=20, every=5)
    model.fit(batches(44, 40), verbose=0, callbacks=[warning])
    assert _said(caplog) == []
    model.fit(batches(44, 40), verbose=0, callbacks=[warning])  # with its weight all along
    assert _said(caplog)[0].startswith("the walk has collapsed at step 89")


def test_collapse_warning_looks_at_short_epochs_that_end_with_a_validation(caplog):
    images, labels, model = images_all_alike()
    options = {"validation_data": (images[:20], labels[:20]), "batch_size": 40, "verbose": 0}
    warning = semisup.CollapseWarning(labeled=20, unlabeled=20, every=10)
    model.fit(images, labels, epochs=41, callbacks=[warning], **options)
    assert len(_said(caplog)) == 1
    assert _said(caplog)[0].startswith("the walk has collapsed at step 40: all its steps")


def test_few_visits_of_few_images_are_a_collapse():
    one = {"visit_entropy": 0.0, "walker_loss": 0.0}
    for unlabeled, told in ((1, False), (2, False), (3, True), (10, True), (11, True)):
        line = collapse.collapse(one, collapse.WalkSize(10, unlabeled, 10), True)
        assert line == (f"it visits about 1 of {unlabeled} unlabelled images" if told else None)


def test_fit_warns_of_batch_norm_that_has_not_settled(caplog):
    images, labels = np.random.default_rng(0).random((40, 4)), np.r_[np.arange(20) % 2, [-1] * 20]
    layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    model = semisup.AssociativeModel(keras.Sequential(layers), 2)
    model.compile("sgd")
    watch = [semisup.CollapseWarning(labeled=20, unlabeled=20)]
    model.fit(images, labels, batch_size=20, epochs=2, callbacks=watch, verbose=0)
    [line] = [line for line in _said(caplog) if "batch norm" in line]
    kept = "batch norm with a momentum of 0.99 keeps 96 % of its initial statistics after 4 batches"
    assert line.startswith(kept)
    caplog.clear()
    # Their values are no longer the first ones, as those of a pretrained network are not.
    model.fit(images, labels, batch_size=20, callbacks=watch, verbose=0)
    assert not [line for line in _said(caplog) if "batch norm" in line]


@pytest.mark.parametrize(
    ("separate", "optimizer", "batches"),
    [
        (True, keras.optimizers.SGD(), 8),
        (False, keras.optimizers.SGD(gradient_accumulation_steps=2), 4),
    ],
)
def test_fit_counts_the_batches_that_pass_batch_norm(caplog, separate, optimizer, batches):
    images = np.random.default_rng(0).random((40, 4))
    labels = np.where(np.arange(40) % 2, np.arange(40) % 3, -1)
    layers = [keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.Dense(3)]
    model = semisup.AssociativeModel(keras.Sequential(layers), 3, separate_batches=separate)
    model.compile(optimizer)
    watch = [semisup.CollapseWarning(labeled=10, unlabeled=10)]
    model.fit(images, labels, batch_size=20, epochs=2, callbacks=watch, verbose=0)
    [line] = [line for line in _said(caplog) if "batch norm" in line]
    assert f"statistics after {batches} batches" in line


def test_new_warnings_go_by_the_weights_at_the_step_of_the_losses():
    """A resumed run looks at its last evaluation, at which the walker loss may have had none."""
    watch = monitor(lambda step: float(step > 30))
    for step in (30, 31, 80):  # the last two have means over the 50 steps before, too
        assert [*watch.new_warnings(step, UNIFORM)] == []
        assert not watch.collapsed
    assert len([*watch.new_warnings(81, UNIFORM)]) == 1


def test_collapse_warning_wants_the_sizes_of_a_batch(caplog):
    images, labels, model = images_all_alike()
    warning = semisup.CollapseWarning(labeled=20, unlabeled=4000, every=2)
    model.fit(images, labels, batch_size=40, epochs=4, verbose=0, callbacks=[warning])
    line, *_ = _said(caplog)
    assert line.startswith("CollapseWarning was made for 4000 unlabelled images in a batch, but")
    with pytest.raises(InputError, match="`labeled`"):
        semisup.CollapseWarning(images, images)


def test_collapse_warning_refuses_a_model_without_a_walk():
    images, labels, model = images_all_alike()
    plain = keras.Sequential([model.network, keras.layers.Dense(2)])
    plain.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    watch = [semisup.CollapseWarning(labeled=20, unlabeled=20)]
    with pytest.raises(InputError, match="is for an AssociativeModel, but this is a Sequential"):
        plain.fit(images, np.abs(labels), callbacks=watch, verbose=0)
