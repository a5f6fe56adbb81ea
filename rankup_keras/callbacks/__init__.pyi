from .effective_rank import EffectiveRank as EffectiveRank
from .resume import Resume as Resume
