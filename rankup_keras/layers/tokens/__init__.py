"""Vectors to tokens (B, T, D): tokenizers, and the tokens that stand beside the sparse ones."""

from rankup_keras.layers.tokens.crossed_tokens import CrossedTokens as CrossedTokens
from rankup_keras.layers.tokens.factorization_machine import (
    FactorizationMachine as FactorizationMachine,
)
from rankup_keras.layers.tokens.global_token import GlobalToken as GlobalToken
from rankup_keras.layers.tokens.numeric_embedding import NumericEmbedding as NumericEmbedding
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense as PerTokenDense
from rankup_keras.layers.tokens.per_token_initializer import (
    PerTokenInitializer as PerTokenInitializer,
)
from rankup_keras.layers.tokens.permutation_tokenizer import (
    PermutationTokenizer as PermutationTokenizer,
)
from rankup_keras.layers.tokens.semantic_tokenizer import SemanticTokenizer as SemanticTokenizer
from rankup_keras.layers.tokens.sequence_pooling import SequencePooling as SequencePooling
from rankup_keras.layers.tokens.sequence_tokens import SequenceTokens as SequenceTokens
from rankup_keras.layers.tokens.slice_tokenizer import SliceTokenizer as SliceTokenizer
from rankup_keras.layers.tokens.target_attention import TargetAttention as TargetAttention
from rankup_keras.layers.tokens.task_tokens import TaskTokens as TaskTokens
from rankup_keras.layers.tokens.token_assembly import TokenAssembly as TokenAssembly
