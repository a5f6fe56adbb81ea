"""Layers: ids to vectors, vectors to tokens, tokens to tokens, tokens to one logit per task."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
