"""Optimizers that do not slow down as the vocabulary grows: `rankup_keras.optimizers`."""

from rankup_keras.optimizers.adagrad import Adagrad as Adagrad
from rankup_keras.optimizers.adam import Adam as Adam
from rankup_keras.optimizers.ftrl import Ftrl as Ftrl
from rankup_keras.optimizers.lazy_adam import LazyAdam as LazyAdam
from rankup_keras.optimizers.row_wise_adagrad import RowWiseAdagrad as RowWiseAdagrad
from rankup_keras.optimizers.sgd import SGD as SGD
from rankup_keras.optimizers.split import Split as Split
