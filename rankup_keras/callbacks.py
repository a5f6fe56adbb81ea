"""Keras callbacks of this package, in one place."""

from rankup_keras.diagnostics import EffectiveRank as EffectiveRank
from rankup_keras.training.resume import Resume as Resume
