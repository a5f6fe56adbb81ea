"""What asks a server: the gRPC client, and the messages of TensorFlow Serving's API."""
