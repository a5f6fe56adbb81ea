from . import exact as exact
from .calibration import Calibration as Calibration
from .gauc import GAUC as GAUC
from .normalized_entropy import (
    NormalizedEntropy as NormalizedEntropy,
)
