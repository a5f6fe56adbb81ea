"""Where rows come from: files, public data sets, splits, and columns made from earlier rows."""

from rankup_keras.data.adapt_from_files import adapt as adapt
from rankup_keras.data.bad_rows import BadRows as BadRows
from rankup_keras.data.csv_options import CsvOptions as CsvOptions
from rankup_keras.data.data_error import DataError as DataError
from rankup_keras.data.files import Files as Files
from rankup_keras.data.point_in_time import earlier_items as earlier_items
from rankup_keras.data.point_in_time import earlier_statistics as earlier_statistics
from rankup_keras.data.row_filters import Between as Between
from rankup_keras.data.row_filters import OneOf as OneOf
from rankup_keras.data.row_filters import Share as Share
from rankup_keras.data.rows import Rows as Rows
from rankup_keras.data.splits import Splits as Splits
from rankup_keras.data.splits import random_split as random_split
from rankup_keras.data.splits import time_split as time_split
from rankup_keras.data.statistics import Statistics as Statistics
from rankup_keras.data.statistics import scan as scan
