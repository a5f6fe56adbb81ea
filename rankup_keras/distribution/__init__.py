"""Where a program runs: strategies by name; TPUs, under `experimental`."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
