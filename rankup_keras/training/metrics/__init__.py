"""Metrics of ranking: normalised entropy, calibration, AUC within users."""

from rankup_keras.training.metrics import exact as exact
from rankup_keras.training.metrics.calibration import Calibration as Calibration
from rankup_keras.training.metrics.gauc import GAUC as GAUC
from rankup_keras.training.metrics.normalized_entropy import (
    NormalizedEntropy as NormalizedEntropy,
)
