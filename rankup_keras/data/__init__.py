"""Where rows come from: public data sets, splits, and columns made from earlier rows."""

from rankup_keras.data.earlier import earlier_items as earlier_items
from rankup_keras.data.earlier import earlier_statistics as earlier_statistics
from rankup_keras.data.movielens import movielens_100k as movielens_100k
from rankup_keras.data.movielens_features import movielens_features as movielens_features
from rankup_keras.data.rows import Rows as Rows
from rankup_keras.data.splits import Splits as Splits
from rankup_keras.data.splits import random_split as random_split
from rankup_keras.data.splits import time_split as time_split
