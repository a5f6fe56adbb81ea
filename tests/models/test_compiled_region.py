"""What `jit_compile=True` compiles of a model with tables, and that it changes speed alone."""

import importlib
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.models import compiled_steps
from tests.helpers.gpu_placement import waits_for_gpu

ROWS, BATCH = 20, 8  # the last batch of an epoch is half a batch


def make_features():
    return rk.FeatureSet(
        [
            rk.Categorical("item", hash_buckets=20),
            rk.Categorical("user", hash_buckets=20),
            rk.History("history", of="item", max_length=3),
            rk.Numeric("price", normalize=None),
        ]
    )


def make_rows(rows=ROWS):
    rng = np.random.default_rng(rows)
    return {
        "item": [f"i{i}" for i in rng.integers(0, 9, rows)],
        "user": [f"u{i}" for i in rng.integers(0, 9, rows)],
        "history": [[f"i{i}" for i in rng.integers(0, 9, n % 4)] for n in range(rows)],
        "price": rng.normal(size=rows).astype("float32"),
        "click": rng.integers(0, 2, rows),
        "buy": rng.integers(0, 2, rows),
    }


def make_model(compiled, metrics=None, optimizer=None, **settings):
    keras.utils.set_random_seed(0)
    settings = {"token_dim": 8, "num_tokens": 4, "num_blocks": 1, "embedding_dim": 4, **settings}
    model = rk.RankMixer(
        make_features(), [rk.Task("click"), rk.Task("buy", weight=2.0)], **settings
    )
    model.compile(optimizer, metrics=metrics, jit_compile=compiled)
    return model


def train(compiled, **arguments):
    """A trained model, and everything that it says."""
    model = make_model(compiled, **arguments)
    weights = np.linspace(0.5, 2.0, ROWS)
    history = model.fit(
        make_rows(),
        sample_weight=weights,
        batch_size=BATCH,
        epochs=2,
        validation_data=make_rows(BATCH + 2),
        validation_batch_size=BATCH,
        verbose=0,
    ).history
    scores = model.predict(make_rows(BATCH + 3), batch_size=BATCH, verbose=0)
    return model, history, scores


def assert_same(plain, compiled, tolerance):
    for (name, values), (other, found) in zip(plain[1].items(), compiled[1].items(), strict=True):
        assert name == other
        np.testing.assert_allclose(found, values, rtol=tolerance, atol=tolerance, err_msg=name)
    for name, values in plain[2].items():
        np.testing.assert_allclose(compiled[2][name], values, atol=tolerance)
    models = plain[0], compiled[0]
    for own, found in zip(*(model.weights for model in models), strict=True):
        np.testing.assert_allclose(found, own, rtol=tolerance, atol=tolerance, err_msg=own.path)
    for own, found in zip(*(model.optimizer.variables for model in models), strict=True):
        np.testing.assert_allclose(found, own, rtol=tolerance, atol=tolerance, err_msg=own.path)


SETTINGS = {
    "embeddings_regularizer": keras.regularizers.L2(0.01),
    "ffn": {"kind": "sparse_moe", "num_experts": 4, "num_active": 2},
}


@pytest.fixture(scope="module")
def pair():
    return [train(compiled, **SETTINGS) for compiled in (False, True)]


def test_it_trains_and_scores_alike(pair):
    assert_same(*pair, tolerance=2e-6)
    assert pair[0][0].compiled_region() is None


def test_other_optimizers_metrics_and_dtypes_train_alike():
    # A norm of all gradients waits for the tables', and groups for the host: both stay outside.
    arguments = {
        "optimizer": rk.optimizers.Split("adagrad", "adam", global_clipnorm=0.1),
        "metrics": [keras.metrics.AUC(name="auc"), rk.metrics.GAUC("user")],
        "ffn": {"kind": "moe", "num_experts": 2},
        "dtype": "mixed_bfloat16",
        "auxiliary_loss": 0.3,
    }
    plain = train(False, **arguments)
    arguments["optimizer"] = rk.optimizers.Split("adagrad", "adam", global_clipnorm=0.1)
    compiled = train(True, **arguments)
    region = compiled[0].compiled_region()
    assert not region.metrics_inside
    assert_same(plain, compiled, tolerance=2e-2)
    assert compiled[1]["click_gauc"] == pytest.approx(plain[1]["click_gauc"], abs=2e-2)


def test_one_replica_trains_as_none(pair):
    with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
        replicated = train(True, **SETTINGS)
    assert_same(pair[1], replicated, tolerance=1e-6)


@pytest.mark.parametrize("device", [None, "/cpu:0"])
def test_by_default_it_compiles_where_weights_lie_on_a_gpu(monkeypatch, device):
    with tf.device(device):
        model = make_model("auto")
    places = {v.value.device for v in model.trainable_variables}
    on_gpu = all("GPU" in place for place in places)
    # Whatever the machine has, which the program may hide or leave unused.
    for ask in ("list_physical_devices", "list_logical_devices"):
        gpu = tf.config.LogicalDevice("/device:GPU:0", "GPU")
        monkeypatch.setattr(tf.config, ask, lambda kind=None, gpu=gpu: [gpu])
    assert (model.compiled_region() is not None) is on_gpu
    monkeypatch.setattr(compiled_steps, "devices_of_step", lambda model: ["/device:GPU:0"])
    assert model.compiled_region() is not None


def step_of(model, batch=BATCH, kind="train"):
    """A step's graph, by default of training on full batches, and its compiled functions."""
    step = tf.function(getattr(model, f"{kind}_step"), autograph=False)
    spec = model.features.encoded_spec().items()
    x = {name: tf.TensorSpec((batch, *shape), dtype) for name, (shape, dtype) in spec}
    y = {task.name: tf.TensorSpec((batch, 1)) for task in model.tasks}
    graph = step.get_concrete_function((x, y)).graph
    library = graph.as_graph_def().library.function
    forced = {f.signature.name for f in library if f.attr["_XlaMustCompile"].b}
    operations = graph.get_operations()
    return operations, [
        op
        for op in operations
        if op.type.endswith("PartitionedCall") and op.get_attr("f").name in forced
    ]


def test_a_step_holds_one_compiled_function(pair):
    operations, calls = step_of(pair[1][0])
    assert len(calls) == 1
    # The one decision of a step is that of the check of ids, which comes before the lookup.
    assert len([op for op in operations if op.type.endswith("If")]) == 1
    between, waiting = set(), [tensor.op for tensor in calls[0].inputs]
    while waiting:
        op = waiting.pop()
        if op.type != "ResourceGather" and op not in between:
            between.add(op)
            waiting += [tensor.op for tensor in op.inputs]
    assert not {"If", "StatelessIf", "Unique", "Where", "EagerPyFunc"} & {op.type for op in between}


@pytest.fixture
def seen_gpu(monkeypatch):
    """Graphs are made as where TensorFlow sees a GPU."""
    for module in ("kernels.program", "optimizers.row_sparse", "optimizers.ftrl"):
        module = importlib.import_module(f"rankup_keras.{module}")
        monkeypatch.setattr(module, "has_accelerator", lambda: True)


def test_groups_wait_for_no_gpu(seen_gpu):
    model = make_model(
        True, metrics=["auc", rk.metrics.GAUC("user"), rk.metrics.GAUC("user", 7, name="few")]
    )
    for kind in ("train", "test"):
        assert waits_for_gpu(step_of(model, kind=kind)[0]) == []


@pytest.mark.parametrize("batch", [BATCH, None])
def test_nothing_waits_for_a_gpu(pair, seen_gpu, batch):
    """Neither lookup, update of rows nor metrics fetch what a GPU has computed."""
    for kind in ("train", "test"):
        assert waits_for_gpu(step_of(pair[1][0], batch, kind)[0]) == []


@pytest.mark.parametrize("kind", ["train", "test"])
def test_batches_that_come_ahead_are_not_fetched_back(seen_gpu, kind):
    """Of a model whose first input is no id, which stays on the host."""
    features = [rk.Numeric("price", normalize=None), rk.Numeric("age", normalize=None)]
    model = rk.RankMixer(rk.FeatureSet(features), ["click"], 8, 2, num_blocks=1)
    model.compile(jit_compile=True)
    assert waits_for_gpu(step_of(model, None, kind)[0], ahead=True) == []


def test_a_step_of_ftrl_waits_for_no_gpu(seen_gpu):
    model = make_model(True, optimizer=rk.optimizers.Split("ftrl", "adam"))
    assert waits_for_gpu(step_of(model)[0]) == []


def test_cutting_sequences_waits_for_no_gpu(seen_gpu):
    features = [
        rk.Categorical("item", hash_buckets=20),
        rk.Timestamp("now"),
        rk.Events("clicks", {"clicked": "item"}, 20, "time", "now", matches=True),
        rk.History("history", of="item", max_length=30, matches=True),
    ]
    settings = {"num_blocks": 1, "embedding_dim": 4, "dtype": "mixed_bfloat16"}
    model = rk.HyFormer(rk.FeatureSet(features), ["click"], 8, **settings)
    model.compile(jit_compile=True)
    assert waits_for_gpu(step_of(model)[0]) == []


def test_only_full_batches_are_compiled(pair):
    model = pair[1][0]
    assert model.compiled_region().full_batch("train") == BATCH

    def batches(*sizes):
        for size in sizes:
            columns = make_rows(size)
            labels = {name: columns.pop(name) for name in ("click", "buy")}
            yield columns, labels, np.ones(size)

    # Nothing tells the size of a generator's batches: the largest that has come is compiled.
    model.fit(batches(BATCH, 3, BATCH, 5), steps_per_epoch=4, verbose=0)
    assert model.compiled_region().full_batch("train") == BATCH


def test_the_question_is_saved(pair, tmp_path):
    pair[1][0].save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.compiled_region() is not None
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    assert (again.compiled_region() is not None) == on_gpu
    rows = make_rows(5)
    np.testing.assert_allclose(
        loaded.predict(rows, verbose=0)["buy"], again.predict(rows, verbose=0)["buy"], atol=1e-6
    )


@keras.saving.register_keras_serializable("test_compiled_region")
class Lengths(keras.layers.Layer):
    """A user's layer: it counts digits, which XLA cannot."""

    def call(self, x):
        digits = tf.strings.length(tf.strings.as_string(tf.cast(x, tf.float32)))
        return tf.cast(digits, x.dtype)[:, None, :]

    def compute_output_spec(self, x):
        return keras.KerasTensor((x.shape[0], 1, x.shape[1]), dtype=x.dtype)


@keras.saving.register_keras_serializable("test_compiled_region")
class Unwilling(keras.layers.Layer):
    """A user's layer that asks not to be compiled."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_jit = False

    def call(self, x):
        return x[:, None, :]


@pytest.mark.parametrize(("layer", "said"), [(Lengths, "AsString"), (Unwilling, "supports_jit")])
def test_a_layer_that_xla_does_not_take_is_named(layer, said):
    tokens = [(layer(), ["item"])]
    keras.utils.set_random_seed(0)
    model = rk.RankUp(
        make_features(), ["click"], 6, num_blocks=1, embedding_dim=6, extra_tokens=tokens
    )
    model.compile(jit_compile=True)
    rows = make_rows()
    del rows["buy"]
    with pytest.warns(UserWarning, match=rf"\({layer.__name__}\).*{said}"):
        model.fit(rows, batch_size=BATCH, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(model.evaluate(rows, verbose=0)[0])
        assert np.isfinite(model.predict(rows, verbose=0)["click"]).all()


def test_many_sparse_experts_are_not_compiled():
    model = make_model(True, ffn={**SETTINGS["ffn"], "num_experts": 7})
    with pytest.warns(UserWarning, match=r"\(PerTokenTopKMoE\).*supports_jit"):
        assert not model.compiled_region().takes_scoring(model.encode(make_rows()))


def test_dropout_repeats_with_the_state_of_its_seeds():
    model, rows, losses = make_model(True, dropout=0.5), make_rows(BATCH), []
    model.train_on_batch(rows)
    variables = [*model.variables, *model.optimizer.variables]
    state = [np.array(variable) for variable in variables]
    for restored in (variables, variables, model.trainable_variables):
        for variable, value in zip(variables, state, strict=True):
            if any(variable is one for one in restored):
                variable.assign(value)
        losses.append(model.train_on_batch(rows)[0])
    assert losses[0] == losses[1] != losses[2]
