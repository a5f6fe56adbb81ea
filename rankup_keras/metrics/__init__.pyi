from . import exact as exact
from .auc import AUC as AUC
from .calibration import Calibration as Calibration
from .gauc import GAUC as GAUC
from .labelled_rows import LabelledRows as LabelledRows
from .normalized_entropy import (
    NormalizedEntropy as NormalizedEntropy,
)
