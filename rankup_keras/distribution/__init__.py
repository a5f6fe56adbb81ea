"""Where a program runs: strategies by name; TPUs, under `experimental`."""

from rankup_keras.distribution import experimental as experimental
from rankup_keras.distribution.strategies import strategy as strategy
from rankup_keras.distribution.worker_lost import WorkerLostError as WorkerLostError
