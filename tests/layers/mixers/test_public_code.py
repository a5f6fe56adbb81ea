"""Public code of the papers' authors and readers, run with random weights: the same numbers."""

import pathlib

import numpy as np
import pytest

from rankup_keras.layers.mixers import (
    MixAndRevert,
    MixerBlock,
    PerTokenGLUStack,
    PerTokenTopKMoE,
    SiameseResidual,
    SiameseSum,
    TokenAttention,
    UniMixing,
)

FIXTURE = pathlib.Path(__file__).parents[2] / "fixtures" / "public_mixers.npz"


@pytest.fixture(scope="module")
def public():
    with np.load(FIXTURE) as data:
        return dict(data)


def close(layer, public, name):
    np.testing.assert_allclose(layer, public[f"{name}/y"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("hidden_units", [[6, 5], [4, 4, 6]])
def test_rankelastors_networks_of_any_hidden_widths(public, hidden_units):
    name = f"elastor_{'_'.join(map(str, hidden_units))}"
    x, tokens = public[f"{name}/x"], range(2)
    stack = PerTokenGLUStack(hidden_units, expansion=2, dropout=0.1)
    stack.build(x.shape)
    # Modules count norms, units, maps where the width changes, dropouts; one averages nothing.
    place = 0
    for norm, lift, skip, reduce, *maps in stack.stages:
        gammas = [public[f"{name}/weight/{t}.{place}.gamma"] for t in tokens]
        norm.gamma.assign(np.stack(gammas))
        parts = ((lift, ["skip2", "fc_lift1", "fc_lift2"]), (skip, ["skip1"]))
        for layer, names in (*parts, (reduce, ["fc_reduce"])):
            put(public, name, layer, [f"{place + 1}.{n}" for n in names])
        if maps:
            put(public, name, maps[0], [str(place + 2)])
        place += 3 + len(maps)
    put(public, name, stack.out, [str(place + 1)])
    close(stack(x), public, name)
    count = sum(v.size for k, v in public.items() if k.startswith(f"{name}/weight"))
    assert count == stack.count_params()


def put(public, name, layer, modules):
    for variable, part, axis in ((layer.kernel, "weight", 0), (layer.bias, "bias", 0)):
        own = [
            np.concatenate([public[f"{name}/weight/{t}.{m}.{part}"] for m in modules], axis).T
            for t in range(variable.shape[0])
        ]
        variable.assign(np.reshape(own, variable.shape))


def test_unimixer_lite_in_its_siamese_norm(public):
    x = public["unimixer/x"]
    first = second = x
    for index, tau in enumerate((1.0, 0.3)):

        def weight(part, index=index):
            return public[f"unimixer/weight/{index}.{part}"]

        mixing = UniMixing(block=3, bases=2, rank=3, temperature=tau)
        residual, read = SiameseResidual(mixing, epsilon=1e-5), SiameseSum(epsilon=1e-5)
        read.build(x.shape, x.shape)
        residual.build(x.shape, x.shape, x.shape)
        mixing.basis.assign(weight("local_basis").reshape(2, 9))
        mixing.shares.assign(weight("local_coef"))
        mixing.whole_in.assign(weight("global_left") / np.sqrt(3))
        mixing.whole_out.assign(weight("global_right"))
        for norm, part in ((read.norm, "norm_y"), (residual.norm, "norm_x")):
            norm.gamma.assign(weight(f"{part}.weight"))
            norm.beta.assign(weight(f"{part}.bias"))
        first, second = residual(read(first, second), first, second)
    last = SiameseSum(epsilon=1e-5)
    last.build(x.shape, x.shape)
    last.norm.gamma.assign(public["unimixer/final/weight"])
    last.norm.beta.assign(public["unimixer/final/bias"])
    close(last(first, second), public, "unimixer")


def test_zeniths_attention(public):
    x = public["zenith/x"]
    layer = TokenAttention(2)
    layer.build(x.shape)
    parts = [public[f"zenith/weight/W_{part}"] for part in "qkv"]
    layer.lift.kernel.assign(np.concatenate(parts, axis=-1))
    layer.kernel.assign(public["zenith/weight/W_o.weight"].T)
    close(layer(x), public, "zenith")


def test_tokenmixer_large_with_sparse_experts(public):
    x = public["tokenmixer_large/x"]
    networks = [PerTokenTopKMoE(4, 3, expansion=2, scale=2) for _ in range(2)]
    mixing = MixAndRevert(networks[0], 4, residual="input", norm_on="mixed")
    block = MixerBlock(networks[1], mixing, norm="rms_norm")
    block.build(x.shape)

    def weight(part, name):
        return public[f"tokenmixer_large/{part}/{name}"]

    for part, network in zip(("mix", "revert"), networks, strict=True):
        network.router.kernel.assign(weight(part, "router"))
        for own, experts in ((network.shared_expert, [0]), (network, [1, 2, 3])):
            ups = [weight(part, f"{e}/{half}") for half in ("gate", "up") for e in experts]
            own.up.kernel.assign(np.concatenate(ups, axis=-1))
            downs = [weight(part, f"{e}/down") for e in experts]
            own.down.kernel.assign(np.concatenate(downs, axis=1))
    mixing.network.norm.scale.assign(weight("mix", "norm"))
    block.ffn.norm.scale.assign(weight("revert", "norm"))
    close(block(x), public, "tokenmixer_large")
