"""Where a model runs: strategies by name, the check for TPUs ahead of time."""

from rankup_keras.distribution.multi_worker_fit import WorkerLostError as WorkerLostError
from rankup_keras.distribution.strategies import strategy as strategy
from rankup_keras.distribution.tpu.ahead_of_time import TPUReport as TPUReport
from rankup_keras.distribution.tpu.ahead_of_time import tpu_check as tpu_check
from rankup_keras.distribution.tpu.tpu_field_embedding import TPUFieldEmbedding as TPUFieldEmbedding
from rankup_keras.distribution.tpu.tpu_tables import TPUTables as TPUTables
