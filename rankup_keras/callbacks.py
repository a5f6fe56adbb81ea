"""Keras callbacks of this package, in one place."""

from rankup_keras.diagnostics import EffectiveRank as EffectiveRank
