import numpy as np

from rankup_keras.diagnostics.findings import find_problems
from rankup_keras.diagnostics.measure import measure_layer
from rankup_keras.diagnostics.record import RankProfile

RNG = np.random.default_rng(0)


def layers(**activations):
    ranks = {name: measure_layer(name, [x]) for name, x in activations.items()}
    return RankProfile("epoch 1", 10, 1, ranks)


def healthy():
    return RNG.normal(size=(40, 8, 16))


def tied():
    return np.repeat(RNG.normal(size=(40, 1, 16)), 8, axis=1)


def with_token(index, value):
    x = healthy()
    x[:, index] = value
    return x


def found(profile, control=None, **kwargs):
    return [(f.kind, f.layer) for f in find_problems(profile, control, **kwargs)]


def test_a_healthy_network_has_none():
    assert found(layers(tokens=healthy(), block_1_mixer=healthy())) == []


def test_the_collapsed_layer_is_named_and_no_other():
    profile = layers(tokens=healthy(), block_1_mixer=healthy(), block_1_ffn=tied())
    assert found(profile) == [("collapse", "block_1_ffn")]
    assert found(profile, collapse_below=0.05) == []


def test_collapse_by_training_and_by_construction_read_differently():
    profile = layers(block_1_ffn=tied())
    learned = find_problems(profile, layers(block_1_ffn=healthy()))[0]
    built_in = find_problems(profile, layers(block_1_ffn=tied()))[0]
    assert "down from 9" in str(learned)
    assert "built in, not learned" in str(built_in)


def test_dead_tokens_are_named():
    (finding,) = find_problems(layers(tokens=with_token(5, 0.0)))
    assert (finding.kind, finding.layer) == ("dead", "tokens")
    assert "5 of 8" in str(finding)


def test_a_learned_constant_token_is_fine_until_it_has_varied():
    constant = with_token(2, 1.0)
    assert found(layers(tokens=constant, block_1_mixer=constant)) == []
    assert found(layers(tokens=constant, block_1_mixer=healthy(), block_1_ffn=constant)) == [
        ("constant", "block_1_ffn")
    ]


def test_nan_is_named():
    x = healthy()
    x[3, 1, 1] = np.nan
    (finding,) = find_problems(layers(tokens=x))
    assert "1 of 40 samples" in str(finding)
