"""What answers requests: the development server, and the configuration of TensorFlow Serving."""

import keras  # noqa: F401 (see `rankup_keras._registry`)
