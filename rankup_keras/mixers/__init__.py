"""Tokens to tokens: mixing, per-token feed-forward networks, residual forms and the block."""

from rankup_keras.mixers.mixer_block import MixerBlock as MixerBlock
from rankup_keras.mixers.per_token_ffn import PerTokenFFN as PerTokenFFN
from rankup_keras.mixers.per_token_swiglu import PerTokenSwiGLU as PerTokenSwiGLU
from rankup_keras.mixers.residual import Residual as Residual
from rankup_keras.mixers.token_mixing import TokenMixing as TokenMixing
