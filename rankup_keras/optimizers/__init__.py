"""Optimizers that do not slow down as the vocabulary grows: `rankup_keras.optimizers`."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
