from .task import Task as Task
from .task_towers import TaskTowers as TaskTowers
from .token_pooling import TokenPooling as TokenPooling
