"""Optimizers that do not slow down as the vocabulary grows: `rankup_keras.optimizers`."""

from rankup_keras.training.optimizers.adagrad import Adagrad as Adagrad
from rankup_keras.training.optimizers.adam import Adam as Adam
from rankup_keras.training.optimizers.ftrl import Ftrl as Ftrl
from rankup_keras.training.optimizers.lazy_adam import LazyAdam as LazyAdam
from rankup_keras.training.optimizers.row_wise_adagrad import RowWiseAdagrad as RowWiseAdagrad
from rankup_keras.training.optimizers.sgd import SGD as SGD
from rankup_keras.training.optimizers.split import Split as Split
