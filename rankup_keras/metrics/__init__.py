"""Metrics of ranking: normalized entropy, calibration, AUC within users."""

from rankup_keras.metrics import exact as exact
from rankup_keras.metrics.calibration import Calibration as Calibration
from rankup_keras.metrics.gauc import GAUC as GAUC
from rankup_keras.metrics.normalized_entropy import (
    NormalizedEntropy as NormalizedEntropy,
)
