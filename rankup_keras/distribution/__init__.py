"""Where a program runs: strategies by name; TPUs, under `experimental`."""

from rankup_keras.distribution import experimental as experimental
from rankup_keras.distribution.multi_worker_fit import WorkerLostError as WorkerLostError
from rankup_keras.distribution.strategies import strategy as strategy
