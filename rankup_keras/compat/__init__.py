"""Every touch of a private name of Keras, keras-rs, TensorFlow or JAX, one function each."""
