from .effective_rank import EffectiveRank as EffectiveRank
from .resume import Resume as Resume
from .temperature_schedule import TemperatureSchedule as TemperatureSchedule
