"""What training needs beside `fit`: the state of exact resume, and vectors of a two-tower model."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
