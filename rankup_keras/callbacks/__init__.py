"""Keras callbacks of this package, in one place."""

from rankup_keras.callbacks.effective_rank import EffectiveRank as EffectiveRank
from rankup_keras.callbacks.resume import Resume as Resume
