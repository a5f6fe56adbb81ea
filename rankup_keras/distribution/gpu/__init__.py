"""Checks of a training step on a GPU, on a machine without one."""
