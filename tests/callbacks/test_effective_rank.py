import json
import warnings

import keras
import numpy as np
import pytest
from keras import layers

from rankup_keras.callbacks import EffectiveRank
from rankup_keras.diagnostics import effective_rank, rank_profile, read_profiles
from tests.diagnostics.networks import (
    IDS,
    TOKENS,
    WIDTH,
    Silenced,
    Tied,
    column_rows,
    rows,
    token_network,
    transformer,
)

NAMES = ["tokens", "block_1_mixer", "block_1_ffn", "block_2_mixer", "block_2_ffn"]


def fit(model, callbacks, epochs=2, **kwargs):
    x, y = column_rows()
    return model.fit(x, y, batch_size=16, epochs=epochs, verbose=0, callbacks=callbacks, **kwargs)


def test_history_has_every_number_once_an_epoch():
    model, callback = token_network(), EffectiveRank(column_rows())
    history = fit(model, [callback], epochs=3).history
    for name in NAMES:
        for kind in (
            "effective_rank", "effective_rank_normalized", "token_effective_rank",
            "token_effective_rank_normalized", "stable_rank", "token_cosine",
        ):  # fmt: skip
            assert len(history[f"{kind}/{name}"]) == 3
    assert len(history["information_abundance/item"]) == 3
    least = [min(history[f"effective_rank_normalized/{n}"][e] for n in NAMES) for e in range(3)]
    np.testing.assert_allclose(history["effective_rank_normalized/min"], least)


def test_numbers_are_those_of_the_weights_at_the_end_of_the_epoch():
    model, callback = token_network(), EffectiveRank(column_rows())
    history = fit(model, [callback]).history
    tokens = model.get_layer("tokens")(model.get_layer("item")(column_rows()[0]["ids"]))
    expected = effective_rank(tokens).mean()
    assert history["effective_rank/tokens"][-1] == pytest.approx(expected, rel=1e-5)
    assert callback.profiles[-1].layers["tokens"].mean == pytest.approx(expected, rel=1e-5)


def test_the_control_is_the_untrained_network():
    model = token_network()
    before = rank_profile(model, column_rows())
    callback = EffectiveRank(column_rows())
    fit(model, [callback])
    assert callback.profiles[0] is callback.control
    for name in NAMES:
        assert callback.control.layers[name] == before.layers[name]
    assert callback.control.layers["tokens"].mean != callback.profiles[-1].layers["tokens"].mean
    # A second `fit` keeps it.
    fit(model, [callback], epochs=1)
    assert callback.control.layers == before.layers
    assert len(callback.profiles) == 4


def test_a_resumed_training_gets_its_control_from_fresh_weights():
    model = token_network()
    fit(model, [], epochs=8)
    trained = rank_profile(model, column_rows())
    callback = EffectiveRank(column_rows())
    fit(model, [callback], epochs=1)
    fresh = rank_profile(token_network(), column_rows())
    control = callback.control.layers
    assert control["tokens"].mean != trained.layers["tokens"].mean
    for name in NAMES:
        assert control[name].mean == pytest.approx(fresh.layers[name].mean, rel=0.15)


def test_another_model_starts_anew():
    callback = EffectiveRank(column_rows())
    fit(token_network(), [callback], epochs=2)
    first = callback.control
    fit(token_network(), [callback], epochs=1)
    assert [p.label for p in callback.profiles] == ["untrained", "epoch 1"]
    assert callback.control != first


def test_control_can_be_left_out():
    callback = EffectiveRank(column_rows(), control=None)
    fit(token_network(), [callback], epochs=1)
    assert callback.control is None
    assert [profile.label for profile in callback.profiles] == ["epoch 1"]


def test_every_n_batches():
    callback = EffectiveRank(column_rows(), frequency=3)
    fit(token_network(), [callback], epochs=2)  # 4 batches an epoch
    assert [p.label for p in callback.profiles] == [
        "untrained", "step 3", "epoch 1", "step 7", "epoch 2",
    ]  # fmt: skip
    assert [p.step for p in callback.profiles] == [0, 3, 4, 7, 8]


def test_every_n_batches_when_one_call_makes_several_steps():
    model = token_network(compile_model=False)
    model.compile("adam", "binary_crossentropy", steps_per_execution=2)
    callback = EffectiveRank(column_rows(), frequency=2)
    history = fit(model, [callback], epochs=1).history
    assert [p.step for p in callback.profiles] == [0, 2, 4]
    assert len(history["effective_rank/tokens"]) == 1


def test_early_stopping_and_checkpoints_see_the_numbers(tmp_path):
    model = token_network()
    stop = keras.callbacks.EarlyStopping(
        "effective_rank_normalized/min", mode="max", patience=0, min_delta=10.0
    )
    keep = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "{epoch}.keras"), monitor="effective_rank/block_2_ffn", mode="max",
        save_best_only=True,
    )  # fmt: skip
    history = fit(model, [EffectiveRank(column_rows()), stop, keep], epochs=5)
    assert len(history.epoch) < 5
    assert (tmp_path / "1.keras").exists()


def test_logs_can_show_chosen_keys_or_all():
    seen = {}
    spy = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.update(logs))
    history = fit(
        token_network(), [EffectiveRank(column_rows(), logs=["effective_rank/block_*"]), spy], 1
    ).history
    assert {k for k in seen if "rank" in k} == {f"effective_rank/{n}" for n in NAMES[1:]}
    assert all(len(values) == 1 for values in history.values())
    seen.clear()
    history = fit(token_network(), [EffectiveRank(column_rows(), logs="all"), spy], 1).history
    assert set(seen) == set(history)
    with pytest.raises(ValueError, match=r"'effective_rank/block_9_ffn'"):
        fit(token_network(), [EffectiveRank(column_rows(), logs=["effective_rank/block_9_ffn"])])


def test_a_foreign_transformer():
    x, y = rows(48, 6)
    model, callback = transformer(), EffectiveRank((x, y), logs=["effective_rank/norm_2"])
    history = model.fit(x, y, epochs=1, verbose=0, callbacks=[callback]).history
    assert history["effective_rank/norm_2"][0] > 1.0
    assert callback.findings == []
    assert "attention" in callback.table()
    assert history["information_abundance/words"][0] > 1.0


def test_a_subclassed_model_says_what_to_pass_and_works_with_it():
    class Ranker(keras.Model):
        def __init__(self):
            super().__init__()
            self.embed = layers.Embedding(IDS, WIDTH)
            self.block = layers.Dense(WIDTH, "gelu")
            self.head = layers.Dense(1, "sigmoid")

        def call(self, ids):
            return self.head(keras.ops.mean(self.block(self.embed(ids)), axis=1))

    x, y = rows()
    model = Ranker()
    model.compile("adam", "binary_crossentropy")
    with pytest.raises(ValueError, match="subclassed"):
        model.fit(x, y, verbose=0, callbacks=[EffectiveRank(x)])
    callback = EffectiveRank(x, activations=lambda ids: {"block": model.block(model.embed(ids))})
    history = model.fit(x, y, epochs=2, verbose=0, callbacks=[callback]).history
    assert len(history["effective_rank/block"]) == 2
    assert [p.label for p in callback.profiles] == ["untrained", "epoch 1", "epoch 2"]


def test_a_functional_part_of_a_subclassed_model():
    class Wrapper(keras.Model):
        def __init__(self):
            super().__init__()
            self.backbone = token_network(compile_model=False)

        def call(self, x):
            return self.backbone(x)

    model = Wrapper()
    model.compile("adam", "binary_crossentropy")
    callback = EffectiveRank(column_rows(), model=model.backbone)
    history = fit(model, [callback], epochs=1).history
    assert len(history["effective_rank/block_2_ffn"]) == 1


@pytest.mark.parametrize("layer", NAMES)
def test_tied_tokens_are_reported_within_one_epoch_with_the_layers_name(layer):
    model = token_network({layer: lambda name: Tied(name=name)})
    callback = EffectiveRank(column_rows())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(model, [callback], epochs=1)
    assert f"'{layer}' has collapsed" in str(caught[0].message)
    assert callback.findings[0].layer == layer
    assert "built in" in str(callback.findings[0])


def test_a_healthy_model_is_not_reported():
    callback = EffectiveRank(column_rows())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(token_network(), [callback], epochs=2)
    assert callback.findings == []


def test_each_finding_is_reported_once():
    model = token_network({"block_1_ffn": lambda name: Silenced([2], 0.0, name=name)})
    callback = EffectiveRank(column_rows())
    with pytest.warns(UserWarning, match=r"'block_1_ffn' has dead tokens \(epoch 1\): 2 of 4") as w:
        fit(model, [callback], epochs=3)
    assert len([x for x in w if "dead" in str(x.message)]) == 1


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    callback = EffectiveRank(column_rows())
    history = fit(token_network(), [callback], epochs=1).history
    assert 1.0 < history["effective_rank/block_2_ffn"][0] <= TOKENS


def test_json_lines_read_back(tmp_path):
    path = tmp_path / "run" / "ranks.jsonl"
    callback = EffectiveRank(column_rows(), path=path)
    model = token_network()
    fit(model, [callback])
    lines = path.read_text().splitlines()
    assert [json.loads(line)["label"] for line in lines] == ["untrained", "epoch 1", "epoch 2"]
    assert read_profiles(path) == callback.profiles
    assert read_profiles(path)[-1].logs["loss"] > 0.0
    # A resumed training continues the file, a new one replaces it.
    resumed = EffectiveRank(column_rows(), path=path)
    fit(model, [resumed], epochs=1)
    assert resumed.profiles[:3] == callback.profiles
    assert read_profiles(path) == resumed.profiles
    assert len(resumed.profiles) == 4
    fit(token_network(), [EffectiveRank(column_rows(), path=path)], epochs=1)
    assert len(path.read_text().splitlines()) == 2


def test_table_and_plot(tmp_path):
    callback = EffectiveRank(column_rows())
    assert "nothing measured yet" in callback.table()
    with pytest.raises(ValueError, match="no measurement"):
        callback.plot()
    fit(token_network(), [callback], epochs=12)
    head, columns, *body = callback.table().splitlines()
    assert "normalized effective rank, sample view" in head
    assert columns.split()[:3] == ["layer", "untrained", "epoch"]
    assert [line.split()[0] for line in body] == NAMES
    assert max(len(line) for line in body) <= 100
    assert "effective rank, token view, ceilings 8" in callback.table("token", normalized=False)
    with pytest.raises(ValueError, match="'both'"):
        callback.table("both")
    callback.plot(tmp_path / "ranks.png", view="token")
    assert (tmp_path / "ranks.png").read_bytes()[:4] == b"\x89PNG"


def test_overhead_is_a_share_of_the_time():
    callback = EffectiveRank(column_rows())
    assert callback.overhead == 0.0
    fit(token_network(), [callback])
    assert 0.0 < callback.overhead < 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"frequency": 0},
        {"frequency": "batch", "logs": "all"},
        {"control": "later"},
        {"collapse_below": 1.0},
        {"logs": "some"},
        {"probe_samples": 0},
        {"layers": ["block_7"]},
        {"control": "reinitialize", "activations": lambda x: x},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_wrong_arguments_are_named_before_training(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).split("-")[0]):
        fit(token_network(), [EffectiveRank(column_rows(), **wrong)])
