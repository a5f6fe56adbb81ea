"""What the representation is doing: rank measures, and the callback that watches them."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
