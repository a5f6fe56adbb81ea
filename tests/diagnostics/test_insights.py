import numpy as np

from rankup_keras.diagnostics.insights import read_run
from rankup_keras.diagnostics.measure import measure_layer
from rankup_keras.diagnostics.record import RankProfile, TableRanks

NAMES = ["tokens", "block_1_mixer", "block_1_ffn", "block_2_mixer", "block_2_ffn"]


def layer(share, tokens=10, width=20, samples=30, seed=0):
    """Ranks of activations whose sample rank is near `share` of its ceiling."""
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.normal(size=(samples, tokens, tokens)))
    right, _ = np.linalg.qr(rng.normal(size=(samples, width, tokens)))
    spectrum = np.full(tokens, 1e-9)
    spectrum[: round(share * tokens)] = 1.0
    return measure_layer("layer", [(left * spectrum) @ right.swapaxes(1, 2)])


def profile(*shares, label="epoch 1", tables=None):
    layers = {name: layer(share) for name, share in zip(NAMES, shares, strict=False)}
    return RankProfile(label, 10, 1, layers, tables or {})


def said(*profiles):
    return " ".join(f"[{i.level}] {i.text}" for i in read_run(profiles))


def test_a_healthy_run_says_so():
    text = said(profile(1.0, 1.0, 1.0, label="untrained"), profile(1.0, 1.0, 1.0))
    assert "[good] No layer is collapsed" in text
    assert "no layer by 1 % or more" in text
    assert "[problem]" not in text


def test_a_collapse_comes_first_and_is_named():
    text = said(profile(1.0, 1.0, 0.9, label="untrained"), profile(1.0, 1.0, 0.1))
    assert text.startswith("[problem] Layer 'block_1_ffn' has collapsed")
    assert "most at 'block_1_ffn': from 90.0% to 10.0%" in text
    assert "depth costs directions" in text


def test_growth_with_depth():
    assert "goes from 40.0% to 80.0%" in said(profile(0.4, 0.6, 0.8))
    assert "depth adds directions." in said(profile(0.4, 0.6, 0.8))
    assert "adds no directions" in said(profile(0.8, 0.8, 0.8))


def test_the_damped_oscillation_is_recognised():
    text = said(profile(0.6, 0.9, 0.6, 0.7, 0.6))
    assert "Mixers change the sample rank by +30.0%, +10.0%" in text
    assert "FFNs by -30.0%, -10.0%" in text
    assert "damped oscillation" in text
    assert "damped oscillation" not in said(profile(0.6, 0.9, 0.6, 0.9, 0.6))


def test_narrow_tokens_are_listed():
    run = profile(1.0, 1.0)
    ranks = run.layers["block_1_mixer"]
    ranks.token_ranks = [18.0] * 10
    ranks.token_ranks[3] = 2.0
    assert "token(s) 3 use less than half" in said(run)


def test_falling_tables_are_named():
    before = {"user": TableRanks(100, 16, 100, 12.0, 16), "item": TableRanks(9, 8, 9, 6.0, 8)}
    after = {"user": TableRanks(100, 16, 100, 3.0, 16), "item": TableRanks(9, 8, 9, 5.0, 8)}
    text = said(
        profile(1.0, 1.0, label="untrained", tables=before), profile(1.0, 1.0, tables=after)
    )
    assert "'user' has fallen from 12.0 to 3.0 of 16" in text
    assert "'item'" not in text


def test_one_measurement_alone_can_be_read():
    assert "[good]" in said(profile(1.0, label="untrained"))
