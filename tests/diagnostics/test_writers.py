import keras
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rankup_keras.callbacks import EffectiveRank
from rankup_keras.diagnostics import writers
from rankup_keras.diagnostics.record import read_profiles
from tests.diagnostics.networks import column_rows, token_network
from tests.diagnostics.profiles import profile_of

NAMES = ["tokens", "block_1_mixer", "block_1_ffn", "block_2_mixer", "block_2_ffn"]


def fit(model, callbacks, epochs=2):
    x, y = column_rows()
    return model.fit(x, y, batch_size=16, epochs=epochs, verbose=0, callbacks=callbacks)


def test_a_file_is_continued_where_training_resumes_with_the_same_layers(tmp_path):
    path = tmp_path / "new" / "ranks.jsonl"
    file = writers.JsonLines(path)
    assert file.open(None) == []
    file.write(profile_of("epoch 1", 1))
    names = list(profile_of().layers)
    assert writers.JsonLines(path).open(names) == [profile_of("epoch 1", 1)] == read_profiles(path)
    assert writers.JsonLines(path).open(["other"]) == []
    assert path.read_text() == ""


def test_tensorboard_pages(tmp_path):
    callback = EffectiveRank(column_rows(), log_dir=tmp_path)
    fit(token_network(), [callback])
    events = EventAccumulator(str(tmp_path / "effective_rank"))
    events.Reload()
    found = events.Tensors("effective_rank/block_2_ffn")
    assert [event.step for event in found] == [0, 4, 8]
    assert tf.make_ndarray(found[-1].tensor_proto) == pytest.approx(
        callback.profiles[-1].layers["block_2_ffn"].mean, rel=1e-6
    )
    for name in (
        "layers_by_time/sample_view", "layers_by_time/token_view", "along_the_network",
        "tokens_by_layer", "spectra",
    ):  # fmt: skip
        drawn = events.Tensors(f"effective_rank/{name}")
        assert [event.step for event in drawn][-1] == 8
        width, height, image = tf.make_ndarray(drawn[-1].tensor_proto)
        assert int(width) > 300
        assert int(height) > 100
        assert tf.io.decode_png(image).numpy().std() > 10.0
    assert [e.step for e in events.Tensors("token_ranks/block_2_ffn")] == [0, 4, 8]
    scalars = set(callback.profiles[-1].numbers())
    tags = events.Tags()["tensors"]
    assert len(tags) == len(scalars) + 5 + len(NAMES)  # no picture or histogram took a scalar's tag


def test_tensorboard_shows_the_same_in_either_order_of_callbacks(tmp_path):
    shown = []
    for name in ("first", "second"):
        folder = tmp_path / name
        callbacks = [
            EffectiveRank(column_rows(), log_dir=folder),
            keras.callbacks.TensorBoard(folder),
        ]
        fit(token_network(), callbacks if name == "first" else callbacks[::-1])
        runs = {}
        for run in ("effective_rank", "train"):
            events = EventAccumulator(str(folder / run))
            events.Reload()
            tags = events.Tags()["tensors"]
            runs[run] = {tag: [event.step for event in events.Tensors(tag)] for tag in tags}
        assert set(callbacks[0].profiles[-1].numbers()) <= set(runs["effective_rank"])
        assert runs["train"]["epoch_loss"] == [0, 1]
        shown.append(runs["effective_rank"])
    assert shown[0] == shown[1]


def test_pictures_take_no_more_than_their_share_of_the_time(tmp_path, monkeypatch):
    def drawn_with(share, folder):
        monkeypatch.setattr(writers, "_SHARE", share)
        callback = EffectiveRank(column_rows(), log_dir=folder)
        board, draws = callback._board, []

        def draw(profiles):
            draws.append(len(profiles))
            board._drawn = len(profiles)

        # What is drawn is looked at in another test; here only how often.
        monkeypatch.setattr(board, "_draw", draw)
        fit(token_network(), [callback], epochs=3)
        return draws

    assert drawn_with(1e-9, tmp_path / "a") == [4]
    assert drawn_with(1e9, tmp_path / "b") == [1, 2, 3, 4]
