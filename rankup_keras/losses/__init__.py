"""Losses for tasks, beside those of `keras.losses`: give them to `Task(loss=...)` or `compile`."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
