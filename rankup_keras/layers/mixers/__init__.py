"""Tokens to tokens: mixing, per-token feed-forward networks, residual forms and the block."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
