"""Ids to vectors: embedding tables, table sets, and where they lie."""

from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding as FieldEmbedding
from rankup_keras.layers.embeddings.pretrained_vectors import PretrainedVectors as PretrainedVectors
from rankup_keras.layers.embeddings.table_plan import EmbeddingPlan as EmbeddingPlan
from rankup_keras.layers.embeddings.table_plan import TablePlan as TablePlan
from rankup_keras.layers.embeddings.table_plan import plan as plan
from rankup_keras.layers.embeddings.table_view import TableView as TableView
