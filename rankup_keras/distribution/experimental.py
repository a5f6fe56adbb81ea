"""What no TPU has run yet: tables on SparseCores, training steps checked ahead of time."""

from rankup_keras.distribution.tpu.ahead_of_time import TPUReport as TPUReport
from rankup_keras.distribution.tpu.ahead_of_time import tpu_check as tpu_check
from rankup_keras.distribution.tpu.tpu_field_embedding import TPUFieldEmbedding as TPUFieldEmbedding
from rankup_keras.distribution.tpu.tpu_tables import TPUTables as TPUTables
