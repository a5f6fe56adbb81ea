"""Tokens to one probability a task: pooling, towers, tasks and their losses."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
