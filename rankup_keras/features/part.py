"""Some features of a set, encoded without the columns of the others."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from rankup_keras.features.categorical import Categorical
from rankup_keras.features.history import History
from rankup_keras.features.preprocessing import Preprocessing

if TYPE_CHECKING:
    from rankup_keras.features.feature_set import FeatureSet


class Part(Preprocessing):
    """Encodes some features as their `FeatureSet` does, packed without the others.

    What a row costs is then in proportion to these features: candidates of one
    user carry neither the user's thousand events nor room for them.

    Args:
        whole: the feature set, which has learned all that it needs.
        names: names of the features, which keep their order.
    """

    def __init__(self, whole: "FeatureSet", names: Collection[str]) -> None:
        self._whole = whole
        self.features = [feature for feature in whole.features if feature.name in names]
        self._lookups, self._moments = dict(whole.lookups), dict(whole.moments)
        self._encode_fn = None

    def raw_spec(self) -> dict[str, tf.TensorSpec]:
        own = {column for feature in self.features for column in self.columns_of(feature)}
        return {name: spec for name, spec in self._whole.raw_spec().items() if name in own}

    # A history may read the table of a feature that is not in this part.
    def table_owner(self, name: str) -> Any:
        return self._whole.table_owner(name)

    def hashes(self, feature: Categorical | History) -> int:
        return self._whole.hashes(feature)
