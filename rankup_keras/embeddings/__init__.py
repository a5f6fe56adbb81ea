"""Ids to vectors: tables, table sets, and where they lie."""

from rankup_keras.embeddings.field_embedding import FieldEmbedding as FieldEmbedding
