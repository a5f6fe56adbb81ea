"""Raw columns to ids, floats and masks: what a row is, and its preprocessing in the graph."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
