from .crossed_tokens import CrossedTokens as CrossedTokens
from .factorization_machine import (
    FactorizationMachine as FactorizationMachine,
)
from .global_token import GlobalToken as GlobalToken
from .numeric_embedding import NumericEmbedding as NumericEmbedding
from .per_token_dense import PerTokenDense as PerTokenDense
from .per_token_initializer import (
    PerTokenInitializer as PerTokenInitializer,
)
from .permutation_tokenizer import (
    PermutationTokenizer as PermutationTokenizer,
)
from .semantic_tokenizer import SemanticTokenizer as SemanticTokenizer
from .sequence_pooling import SequencePooling as SequencePooling
from .sequence_tokens import SequenceTokens as SequenceTokens
from .slice_tokenizer import SliceTokenizer as SliceTokenizer
from .target_attention import TargetAttention as TargetAttention
from .task_tokens import TaskTokens as TaskTokens
from .token_assembly import TokenAssembly as TokenAssembly
