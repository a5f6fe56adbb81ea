import pathlib

import keras
import numpy as np
import pytest

from rankup_keras.layers.mixers import PerTokenGLUStack
from rankup_keras.models.rankelastor import _mixer, _network
from tests.helpers.layer_test import run_layer_test
from tests.reference import elastor

T, D, BATCH = 3, 4, 5
FIXTURE = pathlib.Path(__file__).parents[2] / "fixtures" / "rankelastor_layer.npz"
PARTS = ("skip2", "lift1", "lift2")


def stages_of(weights, stages):
    """The stack's own variables as the reference wants them, token by token; and the last map."""

    def pair(name, t, part=0, parts=1):
        split = [np.split(weights[f"{name}/{n}"][t], parts, -1)[part] for n in ("kernel", "bias")]
        return split[0].astype("float64"), split[1].reshape(-1)

    def stage(i, t):
        own = {name: pair(f"lift_{i}", t, part, 3) for part, name in enumerate(PARTS)}
        own |= {name: pair(f"{name.rstrip('1')}_{i}", t) for name in ("skip1", "reduce")}
        if f"map_{i}/kernel" in weights:
            own["map"] = pair(f"map_{i}", t)
        return {**own, "gamma": weights[f"norm_{i}/gamma"].reshape(T, -1)[t]}

    found = [[stage(i, t) for t in range(T)] for i in range(stages)]
    return found, [pair("out", t) for t in range(T)]


@pytest.mark.parametrize("hidden_units", [[6], [6, 6, D]])
def test_equation(hidden_units):
    """Two maps in a row; none between equal widths."""
    units, epsilon, r = hidden_units, 1e-6, 2
    sizes = [units[-1] * D + D]
    for d, n in zip([D, *units], units, strict=False):
        sizes.append(d + 3 * (d * r * d + r * d) + (d * d + d) + (r * d * d + d))
        sizes.append((d * n + n) * (n != d))

    def expected(x, weights):
        return elastor.code_stack(x, *stages_of(weights, len(units)), epsilon)

    run_layer_test(
        PerTokenGLUStack,
        {
            "hidden_units": hidden_units,
            "expansion": r,
            "epsilon": epsilon,
            "dropout": 0.2,
        },
        input_shape=(BATCH, T, D),
        expected_num_parameters=T * sum(sizes),
        reference=expected,
        mixed_tolerance=0.2,
    )


def authors_weights(block, data):
    """Puts the authors' weights into a mixer and a network as the model builds them."""
    mixer, network = block

    def weight(name):
        return data[f"weight/{name}"]

    mixing = mixer.layer
    mixing.kernel.assign(weight("token_mixing.cross_mixing.weight").T)
    mixing.bias.assign(weight("token_mixing.cross_mixing.bias"))
    mixing.norm.scale.assign(weight("token_mixing.pre_norm.gamma"))
    mixer.norm.scale.assign(weight("layer_norm1.gamma"))

    def linear(t, names):
        prefix = f"token_interaction.parallel_ffns.{t}."
        kernel = np.concatenate([weight(f"{prefix}{n}.weight").T for n in names], axis=1)
        return kernel, np.concatenate([weight(f"{prefix}{n}.bias") for n in names])

    tokens = data["x"].shape[1]
    # Of the authors' modules, those with weights: norm, unit, map; norm, unit; dropout; last map.
    (norm, *first, between), (last_norm, *second) = network.layer.stages
    layers = {1: first, 4: second}
    for index, own in ((0, norm), (3, last_norm)):
        gammas = [
            weight(f"token_interaction.parallel_ffns.{t}.{index}.gamma") for t in range(tokens)
        ]
        own.gamma.assign(np.stack(gammas))
    places = {"lift": ["skip2", "fc_lift1", "fc_lift2"], "skip": ["skip1"], "reduce": ["fc_reduce"]}
    maps = [(between, ["2"]), (network.layer.out, ["6"])]
    for index, unit in layers.items():
        for layer, names in zip(unit, places.values(), strict=True):
            maps.append((layer, [f"{index}.{name}" for name in names]))
    for layer, names in maps:
        pairs = [linear(t, names) for t in range(tokens)]
        layer.kernel.assign(np.stack([kernel for kernel, _ in pairs]))
        layer.bias.assign(np.stack([bias for _, bias in pairs])[:, None])


@pytest.fixture(scope="module")
def authors():
    with np.load(FIXTURE) as data:
        return dict(data)


@pytest.fixture
def block(authors):
    batch, tokens, width = authors["x"].shape
    mixer = _mixer("code", "dense", None, 0.0, "block_1_mixer", "float32")
    network = _network("code", 3, [10, 10], 0.0, "block_1_ffn", "float32")
    for layer in (mixer, network):
        layer.build((batch, tokens, width))
    authors_weights((mixer, network), authors)
    return mixer, network


def test_the_authors_own_outputs(authors, block):
    mixer, network = block
    x = authors["x"]

    def close(actual, name):
        actual = keras.ops.convert_to_numpy(actual)
        np.testing.assert_allclose(actual, authors[name], rtol=0, atol=1e-5)

    close(x + mixer.layer(x), "after_mixing")
    close(mixer(x), "after_norm")
    close(network(mixer(x)), "after_ffn")


def test_every_weight_of_the_authors_has_its_place(authors, block):
    mine = sum(layer.count_params() for layer in block)
    theirs = sum(value.size for name, value in authors.items() if name.startswith("weight/"))
    assert mine == theirs


def test_the_reference_gives_the_authors_outputs_too(authors):
    """So that the NumPy form that other sizes are compared with is theirs, not only ours."""

    def weight(name):
        return authors[f"weight/{name}"].astype("float64")

    mixed = authors["x"] + elastor.full_mixing(
        authors["x"],
        weight("token_mixing.cross_mixing.weight").T,
        weight("token_mixing.cross_mixing.bias"),
        elastor.rms(weight("token_mixing.pre_norm.gamma"), 1e-12),
    )
    np.testing.assert_allclose(mixed, authors["after_mixing"], rtol=0, atol=1e-5)
    gammas = [weight("layer_norm1.gamma")] * authors["x"].shape[1]
    normed = elastor.per_token_rms_norm(mixed, gammas, 1e-12)
    np.testing.assert_allclose(normed, authors["after_norm"], rtol=0, atol=1e-5)

    def pair(t, name):
        prefix = f"token_interaction.parallel_ffns.{t}"
        return weight(f"{prefix}.{name}.weight").T, weight(f"{prefix}.{name}.bias")

    def stage(t, norm, glu, between=None):
        own = {name: pair(t, f"{glu}.fc_{name}") for name in ("lift1", "lift2", "reduce")}
        own |= {name: pair(t, f"{glu}.{name}") for name in ("skip1", "skip2")}
        if between is not None:
            own["map"] = pair(t, between)
        return {**own, "gamma": weight(f"token_interaction.parallel_ffns.{t}.{norm}.gamma")}

    tokens = range(authors["x"].shape[1])
    stages = [[stage(t, *where) for t in tokens] for where in ((0, 1, 2), (3, 4))]
    after = normed + elastor.code_stack(normed, stages, [pair(t, 6) for t in tokens], 1e-12)
    np.testing.assert_allclose(after, authors["after_ffn"], rtol=0, atol=1e-5)
