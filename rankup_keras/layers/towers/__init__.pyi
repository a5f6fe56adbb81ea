from .entire_space import EntireSpace as EntireSpace
from .isotonic_calibration import IsotonicCalibration as IsotonicCalibration
from .platt_scaling import PlattScaling as PlattScaling
from .task import Task as Task
from .task_towers import TaskTowers as TaskTowers
from .token_pooling import TokenPooling as TokenPooling
