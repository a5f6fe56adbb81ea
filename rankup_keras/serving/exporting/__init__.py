"""From a trained model to a version directory that TensorFlow Serving reads."""

import keras  # noqa: F401 (see `rankup_keras._registry`)
