"""Where a model runs: strategies by name, the check for TPUs ahead of time."""

from rankup_keras.distribution.multi_worker_fit import WorkerLostError as WorkerLostError
from rankup_keras.distribution.strategies import strategy as strategy
from rankup_keras.distribution.tpu_check import TPUReport as TPUReport
from rankup_keras.distribution.tpu_check import tpu_check as tpu_check
