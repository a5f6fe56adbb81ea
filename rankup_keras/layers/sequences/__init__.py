"""Sequences of events to sequences, vectors and tokens, padding left out everywhere."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
