"""Tokens to tokens: mixing, per-token feed-forward networks, residual forms and the block."""

from rankup_keras.layers.mixers.full_mixing import FullMixing as FullMixing
from rankup_keras.layers.mixers.layer_norm import LayerNorm as LayerNorm
from rankup_keras.layers.mixers.mix_and_revert import MixAndRevert as MixAndRevert
from rankup_keras.layers.mixers.mixer_block import MixerBlock as MixerBlock
from rankup_keras.layers.mixers.per_token_ffn import PerTokenFFN as PerTokenFFN
from rankup_keras.layers.mixers.per_token_glu import PerTokenGLU as PerTokenGLU
from rankup_keras.layers.mixers.per_token_glu_stack import PerTokenGLUStack as PerTokenGLUStack
from rankup_keras.layers.mixers.per_token_moe import PerTokenMoE as PerTokenMoE
from rankup_keras.layers.mixers.per_token_norm import PerTokenRMSNorm as PerTokenRMSNorm
from rankup_keras.layers.mixers.per_token_swiglu import PerTokenSwiGLU as PerTokenSwiGLU
from rankup_keras.layers.mixers.residual import Residual as Residual
from rankup_keras.layers.mixers.rms_norm import RMSNorm as RMSNorm
from rankup_keras.layers.mixers.token_mixing import TokenMixing as TokenMixing
