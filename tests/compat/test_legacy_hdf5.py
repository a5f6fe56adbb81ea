"""That Keras marks the writing of HDF5 files."""

import keras

from rankup_keras.compat.legacy_hdf5 import writes_hdf5


class Asks(keras.Model):
    def __init__(self):
        x = keras.Input((2,))
        super().__init__(x, keras.layers.Dense(1)(x))
        self.found = []

    def get_config(self):
        self.found.append(writes_hdf5())
        return {}


def test_only_hdf5_files_are_marked(tmp_path):
    model = Asks()
    for name in ("model.keras", "model.h5", "model.keras"):
        keras.saving.save_model(model, tmp_path / name)
    assert model.found == [False, True, False]
