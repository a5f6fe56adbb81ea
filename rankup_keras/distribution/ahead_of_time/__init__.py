"""What compiles a training step for a device that is not there, and counts what it does."""
