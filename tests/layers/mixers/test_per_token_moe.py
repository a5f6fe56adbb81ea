import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.kernels import sparse_experts
from rankup_keras.layers.mixers import PerTokenMoE
from tests.helpers.layer_test import randomize_weights, run_layer_test, weights_by_name
from tests.helpers.workers import Program
from tests.reference.moe import per_token_moe

T, D, E, BATCH = 3, 4, 3, 6


def experts_of(weights, hidden):
    w1, b1 = weights["up/kernel"].astype("float64"), weights["up/bias"]
    w2, b2 = weights["down/kernel"].astype("float64"), weights["expert_bias"]

    def expert(t, j):
        own = slice(j * hidden, (j + 1) * hidden)
        return w1[t][:, own], b1[t, 0, own], w2[t][own], b2[t, j]

    return [[expert(t, j) for j in range(E)] for t in range(T)]


def router_of(weights, name):
    pairs = zip(weights[f"{name}/kernel"].astype("float64"), weights[f"{name}/bias"], strict=True)
    return [(kernel, bias.reshape(-1)) for kernel, bias in pairs]


@pytest.mark.parametrize("two_routers", [False, True])
def test_equation(two_routers):
    hidden = 6

    def expected(x, weights):
        # Inference knows one router, whatever training has.
        return per_token_moe(x, experts_of(weights, hidden), [router_of(weights, "router")])

    router = D * E + E
    run_layer_test(
        PerTokenMoE,
        {
            "num_experts": E,
            "expansion": 1.5,
            "target_share": 0.5,
            "two_routers": two_routers,
            "penalty": 1e-6,
            "rate": 1.1,
            "max_penalty": 0.2,
            "recovery": 0.01,
            "sparse_inference": two_routers,
        },
        input_shape=(BATCH, T, D),
        expected_num_parameters=T * (E * (2 * D * hidden + hidden + D) + (1 + two_routers) * router)
        + T,
        reference=expected,
        xla=not two_routers,
    )


def built(seed=0, noise=1.0, **settings):
    layer = PerTokenMoE(E, **settings)
    layer.build((None, T, D))
    randomize_weights(layer, seed, noise)
    return layer


def rows(seed=0, batch=BATCH):
    return np.random.default_rng(seed).normal(size=(batch, T, D)).astype("float32")


def test_training_takes_the_mean_of_both_routers_gates():
    layer, x = built(two_routers=True), rows()
    weights = weights_by_name(layer)
    routers = [router_of(weights, name) for name in ("router", "training_router")]
    expected = per_token_moe(x, experts_of(weights, D), routers)
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=0, atol=1e-5)
    only_inference = per_token_moe(x, experts_of(weights, D), routers[:1])
    np.testing.assert_allclose(layer(x), only_inference, rtol=0, atol=1e-5)
    assert np.abs(expected - only_inference).max() > 0.01


def test_a_token_without_active_experts_gives_zero():
    layer, x = built(), rows()
    layer.router.bias.assign_sub(np.full((T, 1, E), 1e3))
    assert not np.asarray(layer(x)).any()


@pytest.mark.parametrize(("target", "under"), [(1e-6, 0), (1.0, 1)])
def test_the_penalty_falls_on_the_inference_router_alone(target, under):
    """The L1 norm of its gates above the target, and of the closed ones' distance below it."""
    settings = {"penalty": 0.5, "max_penalty": 1.0, "recovery": 0.2, "target_share": target}
    layer, x = built(two_routers=True, **settings), rows()
    kernel, bias = layer.router.kernel, layer.router.bias
    routed = np.einsum("btd,tde->bte", x, kernel) + np.asarray(bias)[:, 0]
    factor, active = (0.2, -routed) if under else (0.5, routed)
    error = ((routed > 0).mean(axis=(0, 2)) - target) / target
    sums = np.maximum(active, 0).sum(axis=-1).mean(axis=0)
    expected = factor * np.mean(np.minimum(1, 4 * np.abs(error)) * sums)
    with tf.GradientTape() as tape:
        layer(x, training=True)
        (penalty,) = layer.losses
    np.testing.assert_allclose(penalty, expected, rtol=1e-5)
    variables = layer.trainable_variables
    gradients = tape.gradient(penalty, [v.value for v in variables])
    pairs = zip(variables, gradients, strict=True)
    touched = {weights_path(layer, v) for v, gradient in pairs if gradient is not None}
    assert touched == {"router/kernel", "router/bias"}


def weights_path(layer, variable):
    return variable.path.split(f"{layer.name}/", 1)[-1]


def test_both_routers_get_the_tasks_gradient():
    layer, x = built(two_routers=True), rows()
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_sum(layer(x, training=True) ** 2)
    for router in (layer.router, layer.training_router):
        gradient = tape.gradient(loss, router.kernel.value)
        assert np.abs(gradient).max() > 0


def test_lambda_of_each_token_follows_its_own_share():
    """All experts of the first token are active, a third of the second's, none of the third's."""
    layer, x = built(noise=0.0, penalty=1e-3, rate=1.25, target_share=1 / 3), rows()
    layer.router.bias.assign(np.array([[[1, 1, 1]], [[-1, 1, -1]], [[-1, -1, -1]]]))
    layer.router.kernel.assign(np.zeros((T, D, E)))
    for _ in range(3):
        layer(x, training=True)
    expected = [1e-3 * 1.25**3, 1e-3, 1e-3 / 1.25**3]
    np.testing.assert_allclose(layer.coefficient, expected, rtol=1e-5)
    for _ in range(200):
        layer(x, training=True)
    np.testing.assert_allclose(layer.coefficient, [0.1, 1e-3, 1e-8], rtol=1e-5)


def test_lambda_moves_less_near_the_target():
    """With two of three experts active and a target of a half, by a third of its largest step."""
    layer, x = built(noise=0.0, penalty=1e-3, rate=1.25, target_share=0.5), rows()
    layer.router.bias.assign(np.array([[[1, 1, -1]]] * T))
    layer.router.kernel.assign(np.zeros((T, D, E)))
    layer(x, training=True)
    np.testing.assert_allclose(layer.coefficient, [1e-3 * 1.25 ** (1 / 3)] * T, rtol=1e-5)


def test_closed_gates_open_again():
    """They get no gradient from the task nor from the L1 norm, and stay closed without."""
    x = np.tile(rows(batch=16), (100, 1, 1))
    shares = {}
    for recovery in (0.0, 0.03):
        layer = built(noise=0.0, recovery=recovery, target_share=0.5)
        layer.router.bias.assign_sub(np.full((T, 1, E), 3.0))
        inputs = keras.Input((T, D))
        model = keras.Model(inputs, layer(inputs))
        model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=False)
        model.fit(x, x, epochs=2, batch_size=16, shuffle=False, verbose=0)
        gates = np.asarray(layer.gates(x[:16]))
        shares[recovery] = (gates > 0).mean(axis=(0, 2))
    assert shares[0.0].max() < 0.2
    assert shares[0.03].min() > 0.25


@pytest.mark.parametrize(
    ("closed", "batch", "sparse"), [(1.5, 200, True), (0.0, 200, False), (1.5, 8, False)]
)
def test_sparse_inference_is_dense_inference(closed, batch, sparse, monkeypatch):
    layer = built(noise=0.3, sparse_inference=True, expansion=1.5)
    layer.router.bias.assign_sub(np.full((T, 1, E), closed))
    x = rows(batch=batch)
    taken = []
    own = sparse_experts._sparse
    monkeypatch.setattr(sparse_experts, "_sparse", lambda *a: taken.append(True) or own(*a))
    y = np.asarray(layer(x, training=False))
    assert bool(taken) is sparse
    weights = weights_by_name(layer)
    expected = per_token_moe(x, experts_of(weights, 6), [router_of(weights, "router")])
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_sparse_inference_without_any_active_expert():
    layer = built(sparse_inference=True)
    layer.router.bias.assign_sub(np.full((T, 1, E), 1e3))
    assert not np.asarray(layer(rows(batch=100), training=False)).any()


def test_a_call_for_inference_writes_to_no_variable():
    layer = built(two_routers=True)
    before = [np.asarray(v) for v in layer.variables]

    @tf.function(input_signature=[tf.TensorSpec((None, T, D))])
    def serve(x):
        return layer(x, training=False)

    kinds = {node.type for node in serve.get_concrete_function().graph.get_operations()}
    assert not [kind for kind in kinds if "Assign" in kind]
    serve(rows())
    for variable, value in zip(layer.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert not layer.losses


def test_initial_experts_are_those_of_separate_dense_layers():
    layer = PerTokenMoE(4, expansion=2, kernel_initializer="glorot_normal")
    layer.build((None, 5, 40))
    for kernel in (layer.up.kernel, layer.down.kernel):
        # One expert: 40 -> 80 -> 40.
        np.testing.assert_allclose(np.asarray(kernel).std(), np.sqrt(2 / 120), rtol=0.02)
    x = np.random.default_rng(0).normal(size=(500, 5, 40)).astype("float32")
    gates = np.asarray(layer.gates(x))
    routed = np.asarray(layer.router(x))
    np.testing.assert_allclose(routed.mean(), 1.0, atol=0.05)
    np.testing.assert_allclose(routed.std(), 1.0, atol=0.1)
    np.testing.assert_array_equal(gates, np.maximum(routed, 0))


def make_problem(**settings):
    """Which of four maps a token goes through depends on the quadrant it lies in."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2048, T, D)).astype("float32")
    maps = rng.normal(size=(4, D, D))
    quadrant = 2 * (x[..., 0] > 0) + (x[..., 1] > 0)
    y = 0.15 * np.einsum("btd,btdo->bto", x, maps[quadrant]).astype("float32")
    inputs = keras.Input((T, D))
    moe = PerTokenMoE(4, expansion=2, target_share=0.25, name="moe", **settings)
    model = keras.Model(inputs, moe(inputs))
    model.compile(keras.optimizers.Adam(0.005), "mse", jit_compile=False)
    return model, moe, x, y


@pytest.fixture(scope="module", params=[False, True], ids=["one_router", "two_routers"])
def trained(request):
    keras.utils.set_random_seed(0)
    model, moe, x, y = make_problem(two_routers=request.param, max_penalty=0.3)
    history = model.fit(x, y, batch_size=64, epochs=25, verbose=0).history
    return model, moe, x, y, history


def test_the_share_reaches_its_target_and_stays(trained):
    *_, history = trained
    assert history["moe_active_share"][0] > 0.7
    last = np.array(history["moe_active_share"][-5:])
    assert abs(last.mean() / 0.25 - 1) < 0.1
    assert np.abs(last / 0.25 - 1).max() < 0.25
    assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_no_token_loses_all_its_experts(trained):
    _, moe, x, _, history = trained
    assert min(history["moe_least_active_share"]) > 0
    active = np.asarray(moe.gates(x)) > 0
    assert active.mean(axis=(0, 2)).min() > 0.5 * 0.25


def test_lambda_is_saved_and_restored(trained, tmp_path):
    model, moe, x, *_ = trained
    assert np.abs(np.asarray(moe.coefficient) - 1e-4).min() > 1e-6
    model.save(tmp_path / "moe.keras")
    loaded = keras.saving.load_model(tmp_path / "moe.keras")
    np.testing.assert_array_equal(loaded.get_layer("moe").coefficient, moe.coefficient)
    np.testing.assert_allclose(loaded(x[:8]), model(x[:8]), rtol=0, atol=1e-6)


def test_use_of_experts_is_a_metric_of_training_alone(trained):
    model, _, x, y, history = trained
    assert {"moe_active_share", "moe_least_active_share"} <= set(history)
    assert np.isnan(model.evaluate(x, y, verbose=0, return_dict=True)["moe_active_share"])


@pytest.mark.processes
def test_two_devices_agree_on_lambda():
    program = Program(pathlib.Path(__file__).parent / "moe_on_two_devices.py")
    out, errors = program.communicate()
    assert program.poll() == 0, errors[-2000:]
    assert out.split()[-1] == "agreed"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_experts": 0}, "`num_experts` must be positive"),
        ({"num_experts": 2, "target_share": 0}, r"`target_share` must lie in \(0, 1\]"),
        ({"num_experts": 2, "rate": 1.0}, "`rate` above 1"),
        ({"num_experts": 2, "penalty": 0.0}, "`penalty` must lie between 1e-08"),
        ({"num_experts": 2, "penalty": 0.1, "max_penalty": 0.03}, "max_penalty=0.03"),
        ({"num_experts": 2, "recovery": -1.0}, "recovery=-1.0"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        PerTokenMoE(**settings)
