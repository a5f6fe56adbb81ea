"""Calls of a Keras layer with raw columns: strings, ids and floats of any kind."""

import keras


def take_raw_inputs(layer: keras.layers.Layer) -> None:
    """Makes a layer pass its arguments to `call` as they are.

    Keras converts arrays to the layer's dtype, which text does not have, and refuses positional
    arguments that are not tensors. Its own `StringLookup` sets the same two attributes; no public
    argument does. Read in Keras 3.15.1. It can go once a layer can declare this publicly.
    """
    layer._convert_input_args = False
    layer._allow_non_tensor_positional_args = True
