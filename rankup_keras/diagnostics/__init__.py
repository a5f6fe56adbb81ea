"""Rank measures of token matrices and embedding tables, and reports about them.

The callback that measures while a model trains is `rk.callbacks.EffectiveRank`.
"""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
