from .field_embedding import FieldEmbedding as FieldEmbedding
from .pretrained_vectors import PretrainedVectors as PretrainedVectors
from .table_plan import EmbeddingPlan as EmbeddingPlan
from .table_plan import TablePlan as TablePlan
from .table_plan import plan as plan
from .table_view import TableView as TableView
from .take_channels import TakeChannels as TakeChannels
from .take_columns import TakeColumns as TakeColumns
