"""Variables written in blocks are those that Keras writes whole."""

import h5py
import keras
import numpy as np
import pytest

from rankup_keras.compat import weight_files


class Writes(keras.layers.Layer):
    """A layer of one weight, written by blocks or by Keras."""

    def __init__(self, by_blocks):
        super().__init__(name="writes")
        self.by_blocks = by_blocks

    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=shape, dtype=self.dtype)

    def save_own_variables(self, store):
        if self.by_blocks:
            weight_files.write_variable(store, "0", self.kernel)
        else:
            super().save_own_variables(store)


@pytest.mark.parametrize("shape", [(), (7,), (1000,), (301, 5), (1, 700)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_blocks_hold_what_keras_writes(tmp_path, monkeypatch, shape, dtype):
    monkeypatch.setattr(weight_files, "BLOCK", 300)
    values = np.random.default_rng(0).normal(size=shape)
    found = []
    for by_blocks in (False, True):
        layer = Writes(by_blocks)
        layer.dtype_policy = dtype
        layer.build(shape)
        layer.kernel.assign(values)
        model = keras.Sequential([layer])
        model.built = True
        path = tmp_path / f"{by_blocks}.weights.h5"
        model.save_weights(path)
        with h5py.File(path) as file:
            written = file["layers/writes/vars/0"]
            found.append((written.shape, written.dtype, dict(written.attrs), written[()].tobytes()))
    assert found[0] == found[1]


def test_a_variable_in_blocks_is_never_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_files, "BLOCK", 300)
    layer = Writes(True)
    layer.build((301, 5))
    model = keras.Sequential([layer])
    model.built = True
    read = keras.ops.convert_to_numpy
    shapes = []
    monkeypatch.setattr(
        "keras.src.backend.convert_to_numpy", lambda x: shapes.append(x.shape) or read(x)
    )
    model.save_weights(tmp_path / "model.weights.h5")
    assert shapes == []  # once Keras writes in blocks, this module can go
