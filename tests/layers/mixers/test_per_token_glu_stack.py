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
    """The stack's own variables as the reference wants them, token by token."""

    def pair(name, t, part=0, parts=1):
        split = [np.split(weights[f"{name}/{n}"][t], parts, -1)[part] for n in ("kernel", "bias")]
        return split[0].astype("float64"), split[1].reshape(-1)

    return [
        [
            {
                "gamma": weights[f"norm_{i}/gamma"].reshape(T, -1)[t],
                **{name: pair(f"lift_{i}", t, part, 3) for part, name in enumerate(PARTS)},
                "skip1": pair(f"skip_{i}", t),
                "reduce": pair(f"reduce_{i}", t),
                "out": pair(f"out_{i}", t),
            }
            for t in range(T)
        ]
        for i in range(stages)
    ]


@pytest.mark.parametrize("hidden_units", [[], [6]])
def test_equation(hidden_units):
    widths, epsilon, r = [D, *hidden_units], 1e-6, 2
    after = [*hidden_units, D]
    sizes = [
        d + 3 * (d * r * d + r * d) + (d * d + d) + (r * d * d + d) + (d * n + n)
        for d, n in zip(widths, after, strict=True)
    ]

    def expected(x, weights):
        return elastor.code_stack(x, stages_of(weights, len(widths)), epsilon)

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
    for index, stage in enumerate(network.layer.stages):
        base = 3 * index
        names = {
            "lift": [f"{base + 1}.fc_{n}" for n in ("lift1", "lift2")],
            "skip": [f"{base + 1}.skip1"],
            "reduce": [f"{base + 1}.fc_reduce"],
            # The authors drop out between the last gated unit and the last map.
            "out": [f"{base + 2 + index}"],
        }
        names["lift"] = [f"{base + 1}.skip2", *names["lift"]]
        norm, *layers = stage
        gammas = [
            weight(f"token_interaction.parallel_ffns.{t}.{base}.gamma") for t in range(tokens)
        ]
        norm.gamma.assign(np.stack(gammas))
        for layer, parts in zip(layers, names.values(), strict=True):
            pairs = [linear(t, parts) for t in range(tokens)]
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
    network = _network("code", 3, [10], 0.0, "block_1_ffn", "float32")
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

    def stage(t, norm, glu, out):
        prefix = f"token_interaction.parallel_ffns.{t}"

        def pair(name):
            return weight(f"{prefix}.{name}.weight").T, weight(f"{prefix}.{name}.bias")

        own = {name: pair(f"{glu}.fc_{name}") for name in ("lift1", "lift2", "reduce")}
        own |= {name: pair(f"{glu}.{name}") for name in ("skip1", "skip2")}
        return {**own, "gamma": weight(f"{prefix}.{norm}.gamma"), "out": pair(out)}

    tokens = range(authors["x"].shape[1])
    stages = [[stage(t, *where) for t in tokens] for where in ((0, 1, 2), (3, 4, 6))]
    after = normed + elastor.code_stack(normed, stages, 1e-12)
    np.testing.assert_allclose(after, authors["after_ffn"], rtol=0, atol=1e-5)
