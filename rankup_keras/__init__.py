"""Token-mixing ranking models for Keras 3: RankMixer, RankUp and RankElastor."""

from rankup_keras import callbacks as callbacks
from rankup_keras import data as data
from rankup_keras import datasets as datasets
from rankup_keras import diagnostics as diagnostics
from rankup_keras import distribution as distribution
from rankup_keras import features as features
from rankup_keras import layers as layers
from rankup_keras import metrics as metrics
from rankup_keras import models as models
from rankup_keras import optimizers as optimizers
from rankup_keras import serving as serving
from rankup_keras import training as training
from rankup_keras.features import Categorical as Categorical
from rankup_keras.features import FeatureSet as FeatureSet
from rankup_keras.features import History as History
from rankup_keras.features import Numeric as Numeric
from rankup_keras.features import Pretrained as Pretrained
from rankup_keras.layers.towers import Task as Task
from rankup_keras.models import DLRM as DLRM
from rankup_keras.models import DCNv2 as DCNv2
from rankup_keras.models import RankElastor as RankElastor
from rankup_keras.models import RankMixer as RankMixer
from rankup_keras.models import RankUp as RankUp
from rankup_keras.models import from_preset as from_preset
from rankup_keras.serving import export as export

__version__ = "0.1.0"
