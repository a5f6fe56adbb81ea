"""Top-k experts against the equation, what the router may choose, and splitting a dense network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.kernels import sparse_experts
from rankup_keras.layers.mixers import PerTokenSwiGLU, PerTokenTopKMoE, split_experts
from tests.helpers.layer_test import random_inputs, randomize_weights, run_layer_test
from tests.helpers.layer_test import weights_by_name as by_name
from tests.reference.moe import per_token_top_k

T, D, E, BATCH = 2, 6, 4, 5


def expected(x, weights, active, scale, over_chosen, shared=True):
    """The reference with a layer's weights; `active` of the experts routed to."""

    def experts_of(name, count):
        gate, value = np.split(weights[f"{name}up/kernel"].astype("float64"), 2, axis=2)
        down = weights[f"{name}down/kernel"].astype("float64")
        split = [np.split(w, count, axis) for w, axis in ((gate, 2), (value, 2), (down, 1))]
        return [[tuple(w[j][t] for w in split) for j in range(count)] for t in range(T)]

    routers = weights["router/kernel"].astype("float64")
    own = [experts[0] for experts in experts_of("shared_expert/", 1)] if shared else None
    experts = experts_of("", routers.shape[-1])
    return per_token_top_k(x, experts, routers, active, scale, over_chosen, own)


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({"num_active": 3}, {"active": 2, "scale": 4 / 3, "over_chosen": True}),
        (
            {"num_active": 2, "shared": False, "scale": 0.5, "gates": "all"},
            {"active": 2, "scale": 0.5, "over_chosen": False, "shared": False},
        ),
    ],
    ids=["shared", "routed alone"],
)
def test_equation(settings, reference):
    hidden = 3
    routed = E - settings.get("shared", True)
    run_layer_test(
        PerTokenTopKMoE,
        {"num_experts": E, "expansion": 2, "sparse": False, "down_scale": 0.3, **settings},
        input_shape=(BATCH, T, D),
        expected_num_parameters=T * (3 * D * hidden * E + D * routed),
        reference=lambda x, w: expected(x, w, **reference),
        mixed=False,  # another precision may choose other experts
    )


def built(**settings):
    layer = PerTokenTopKMoE(**{"num_experts": E, "num_active": 3, **settings})
    layer.build((None, T, D))
    randomize_weights(layer, scale=0.5)
    return layer


@pytest.mark.parametrize("training", [True, False])
def test_exactly_so_many_experts_work_in_training_and_inference(training):
    layer, x = built(), random_inputs((50, T, D))
    # An expert that the router did not choose may be anything, even NaN, were it left out; so
    # make one huge, and see that rows of others do not move.
    route = np.array(layer.route(x))
    assert ((route > 0).sum(axis=-1) == 2).all()
    before = np.array(layer(x, training=training))
    kernel = np.array(layer.down.kernel)
    kernel[:, :3] += 100.0
    layer.down.kernel.assign(kernel)
    after = np.array(layer(x, training=training))
    moved = np.abs(after - before).max(axis=-1) > 1e-6
    np.testing.assert_array_equal(moved, route[..., 0] > 0)


def test_one_expert_routed_to_leaves_its_router_a_gradient():
    """The softmax over one is 1 whatever the router says; so it is over all there."""
    layer, x = built(num_active=2), random_inputs((20, T, D))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, training=True) ** 2)
    assert np.abs(tape.gradient(loss, layer.router.kernel.value)).max() > 1e-4


def test_z_loss_while_training():
    layer, x = built(z_loss=0.1), random_inputs((20, T, D))
    layer(x)
    assert not layer.losses
    plain = layer(x, training=True)
    z = np.einsum("btd,tde->bte", x.astype("float64"), np.array(layer.router.kernel))
    expected = 0.1 * np.mean(np.log(np.exp(z).sum(axis=-1)) ** 2)
    np.testing.assert_allclose(layer.losses, [expected], rtol=1e-5)
    layer.z_loss = 0
    np.testing.assert_array_equal(layer(x, training=True), plain)


def test_sparse_rows_are_dense_rows(monkeypatch):
    """Value and gradients, where an expert computes only the rows that chose it, or XLA all."""
    taken = []
    own = sparse_experts._sparse
    monkeypatch.setattr(sparse_experts, "_sparse", lambda *a: taken.append(True) or own(*a))
    x, found, weights = tf.constant(random_inputs((200, T, D))), {}, None
    ways = ((True, False), (False, False), (True, True))
    for sparse, compiled in ways:
        layer = built(num_experts=9, num_active=2, sparse=sparse)
        weights = weights or layer.get_weights()
        layer.set_weights(weights)

        @tf.function(jit_compile=compiled)
        def step(layer=layer):
            with tf.GradientTape() as tape:
                y = layer(x, training=True)
                loss = tf.reduce_sum(y * tf.sin(y))
            return [y, *tape.gradient(loss, [v.value for v in layer.trainable_variables])]

        found[sparse, compiled] = step()
    assert len(taken) == 1
    for a, b, in_xla in zip(*(found[way] for way in ways), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        # XLA adds in another order: 1e-6 of the largest.
        np.testing.assert_allclose(a, in_xla, rtol=1e-4, atol=1e-6 * max(10, np.abs(a).max()))


def dense(**settings):
    network = PerTokenSwiGLU(**{"expansion": 2, "activation": "gelu", **settings})
    network.build((None, T, D))
    randomize_weights(network)
    return network


@pytest.mark.parametrize("shared", [True, False])
def test_a_dense_network_split_is_itself(shared):
    """All experts active and every gate 1."""
    network, x = dense(), random_inputs((BATCH, T, D))
    settings = {} if shared else {"shared": False, "scale": E}
    experts = split_experts(network, E, **settings)
    np.testing.assert_allclose(experts(x), network(x), rtol=0, atol=1e-5)
    weights = by_name(experts)
    assert sum(w.size for w in weights.values()) == network.count_params() + T * D * (E - shared)


def test_fewer_active_experts_of_a_dense_network():
    experts = split_experts(dense(), E, num_active=2)
    assert (experts.num_active, experts.scale) == (2, 1)
    assert np.array(experts.router.kernel).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PerTokenTopKMoE(4, 1), r"between 2 \(with the shared one\) and num_experts"),
        (lambda: PerTokenTopKMoE(4, 5, shared=False), "between 1 and num_experts"),
        (lambda: PerTokenTopKMoE(4, 2, gates="some"), "`gates` must be one of"),
        (lambda: PerTokenTopKMoE(4, 2, expansion=0), "`expansion` must be positive"),
        (lambda: PerTokenTopKMoE(4, 2, z_loss=-1), "`z_loss` must not be negative"),
        (lambda: split_experts(PerTokenSwiGLU(), 4), "no weights"),
        (lambda: split_experts(dense(), 5), "hidden width 12"),
        (lambda: split_experts(dense(use_bias=True), 4), "use_bias=True"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_keras_does_not_compile_sparse_experts_with_xla():
    inputs = keras.Input((T, D))
    assert not PerTokenTopKMoE(E, 3).supports_jit
    assert PerTokenTopKMoE(E, 3, sparse=False).supports_jit
    assert keras.Model(inputs, PerTokenTopKMoE(E, 3)(inputs)).layers[1].sparse
