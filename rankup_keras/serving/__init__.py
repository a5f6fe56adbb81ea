"""How a trained model is used: exports and their checks, servers, the client."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
