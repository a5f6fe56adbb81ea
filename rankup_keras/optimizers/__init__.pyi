from .adagrad import Adagrad as Adagrad
from .adam import Adam as Adam
from .ftrl import Ftrl as Ftrl
from .lazy_adam import LazyAdam as LazyAdam
from .row_wise_adagrad import RowWiseAdagrad as RowWiseAdagrad
from .sgd import SGD as SGD
from .split import Split as Split
