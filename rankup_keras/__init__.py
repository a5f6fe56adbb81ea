"""Token-mixing ranking models for Keras 3: RankMixer, RankUp and RankElastor."""

from rankup_keras.features import Categorical as Categorical
from rankup_keras.features import FeatureSet as FeatureSet
from rankup_keras.features import Numeric as Numeric
from rankup_keras.features import Pretrained as Pretrained
from rankup_keras.features import Sequence as Sequence

__version__ = "0.1.0"
