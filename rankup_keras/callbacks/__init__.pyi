from .effective_rank import EffectiveRank as EffectiveRank
from .fresh_tables import FreshTables as FreshTables
from .resume import Resume as Resume
from .temperature_schedule import TemperatureSchedule as TemperatureSchedule
