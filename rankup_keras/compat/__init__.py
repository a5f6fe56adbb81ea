"""Every touch of a private name of Keras, keras-rs, TensorFlow or JAX, one function each."""

import keras  # noqa: F401 (see `rankup_keras._registry`)
