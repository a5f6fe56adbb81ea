"""The stages assembled: RankUp, RankMixer, and what they share."""

from rankup_keras.models.dcnv2 import DCNv2 as DCNv2
from rankup_keras.models.dlrm import DLRM as DLRM
from rankup_keras.models.model_cost import Cost as Cost
from rankup_keras.models.model_cost import cost as cost
from rankup_keras.models.model_cost import measure as measure
from rankup_keras.models.presets import PRESETS as PRESETS
from rankup_keras.models.presets import from_preset as from_preset
from rankup_keras.models.rankelastor import RankElastor as RankElastor
from rankup_keras.models.ranking_model import RankingModel as RankingModel
from rankup_keras.models.rankmixer import RankMixer as RankMixer
from rankup_keras.models.rankup import RankUp as RankUp
from rankup_keras.models.weight_transfer import copy_to_host as copy_to_host
from rankup_keras.models.weight_transfer import copy_weights as copy_weights
