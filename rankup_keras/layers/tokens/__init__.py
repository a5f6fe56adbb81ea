"""Vectors to tokens (B, T, D): tokenizers, and the tokens that stand beside the sparse ones."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
