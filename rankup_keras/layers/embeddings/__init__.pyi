from .field_embedding import FieldEmbedding as FieldEmbedding
from .plan import EmbeddingPlan as EmbeddingPlan
from .plan import TablePlan as TablePlan
from .plan import plan as plan
from .pretrained import PretrainedVectors as PretrainedVectors
from .table_view import TableView as TableView
