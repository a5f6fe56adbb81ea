"""The stages assembled: RankUp, RankMixer, and what they share."""

from rankup_keras._registry import load_on_demand

load_on_demand(__name__, __file__)
