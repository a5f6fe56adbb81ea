"""Checks that hold for every kind of feature."""

import keras


def check_config(feature):
    """The feature survives Keras's serialization."""
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(feature))
    assert type(again) is type(feature)
    assert again.get_config() == feature.get_config()
    assert again.raw_spec() == feature.raw_spec()
    assert feature.name in repr(feature)
