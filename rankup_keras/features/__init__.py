"""Raw columns to ids, floats and masks: what a row is, and its preprocessing in the graph."""

from rankup_keras.features.categorical import Categorical as Categorical
from rankup_keras.features.feature import Feature as Feature
from rankup_keras.features.feature_set import FeatureSet as FeatureSet
from rankup_keras.features.history import History as History
from rankup_keras.features.numeric import Numeric as Numeric
from rankup_keras.features.pretrained import Pretrained as Pretrained
from rankup_keras.features.spec import FieldSpec as FieldSpec
from rankup_keras.features.spec import TableSpec as TableSpec
from rankup_keras.features.vocabulary_lookup import VocabularyLookup as VocabularyLookup
