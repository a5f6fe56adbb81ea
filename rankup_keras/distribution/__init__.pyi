from .multi_worker_fit import WorkerLostError as WorkerLostError
from .strategies import strategy as strategy
from .tpu.ahead_of_time import TPUReport as TPUReport
from .tpu.ahead_of_time import tpu_check as tpu_check
from .tpu.tpu_field_embedding import TPUFieldEmbedding as TPUFieldEmbedding
from .tpu.tpu_tables import TPUTables as TPUTables
