from .din_attention import DINAttention as DINAttention
from .event_attention import EventAttention as EventAttention
from .event_embedding import EventEmbedding as EventEmbedding
from .event_swiglu import EventSwiGLU as EventSwiGLU
from .head_attention import HeadAttention as HeadAttention
from .hstu_encoder import HSTUEncoder as HSTUEncoder
from .longer_encoder import LongerEncoder as LongerEncoder
from .transformer_encoder import TransformerEncoder as TransformerEncoder
