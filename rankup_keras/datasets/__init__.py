"""Public data sets in their own formats."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
