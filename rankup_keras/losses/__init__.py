"""Losses of tasks."""
