"""What answers requests: the development server, and the configuration of TensorFlow Serving."""
