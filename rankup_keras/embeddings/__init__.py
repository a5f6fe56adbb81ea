"""Ids to vectors: tables, table sets, and where they lie."""

from rankup_keras.embeddings.field_embedding import FieldEmbedding as FieldEmbedding
from rankup_keras.embeddings.plan import EmbeddingPlan as EmbeddingPlan
from rankup_keras.embeddings.plan import TablePlan as TablePlan
from rankup_keras.embeddings.plan import plan as plan
from rankup_keras.embeddings.pretrained import PretrainedVectors as PretrainedVectors
from rankup_keras.embeddings.table_view import TableView as TableView
from rankup_keras.embeddings.tpu_field_embedding import TPUFieldEmbedding as TPUFieldEmbedding
from rankup_keras.embeddings.tpu_tables import TPUTables as TPUTables
from rankup_keras.embeddings.two_tower import TwoTower as TwoTower
from rankup_keras.embeddings.two_tower import train_two_tower as train_two_tower
