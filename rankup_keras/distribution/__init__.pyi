from . import experimental as experimental
from .gpu.ahead_of_time import GPUReport as GPUReport
from .gpu.ahead_of_time import gpu_check as gpu_check
from .strategies import strategy as strategy
from .worker_lost import WorkerLostError as WorkerLostError
