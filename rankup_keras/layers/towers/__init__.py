"""Tokens to one probability a task: pooling, towers, tasks and their losses."""

from rankup_keras.layers.towers.task import Task as Task
from rankup_keras.layers.towers.task_towers import TaskTowers as TaskTowers
from rankup_keras.layers.towers.token_pooling import TokenPooling as TokenPooling
