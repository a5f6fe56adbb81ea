from . import experimental as experimental
from .strategies import strategy as strategy
from .worker_lost import WorkerLostError as WorkerLostError
