"""The stages assembled: RankUp, RankMixer, and what they share."""

from rankup_keras.models.ranking_model import RankingModel as RankingModel
from rankup_keras.models.rankmixer import RankMixer as RankMixer
from rankup_keras.models.rankup import RankUp as RankUp
