"""From a trained model to a version directory that TensorFlow Serving reads."""
