"""Ids to vectors: embedding tables, table sets, and where they lie."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
