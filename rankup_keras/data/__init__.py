"""Where rows come from: files, public data sets, splits, and columns made from earlier rows."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
