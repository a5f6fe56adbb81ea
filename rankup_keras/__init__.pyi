from . import callbacks as callbacks
from . import data as data
from . import datasets as datasets
from . import diagnostics as diagnostics
from . import distribution as distribution
from . import features as features
from . import layers as layers
from . import losses as losses
from . import metrics as metrics
from . import models as models
from . import optimizers as optimizers
from . import serving as serving
from . import training as training
from .features import Categorical as Categorical
from .features import FeatureSet as FeatureSet
from .features import History as History
from .features import Numeric as Numeric
from .features import Pretrained as Pretrained
from .layers.towers import Task as Task
from .models import DLRM as DLRM
from .models import DCNv2 as DCNv2
from .models import RankElastor as RankElastor
from .models import RankMixer as RankMixer
from .models import RankUp as RankUp
from .models import from_preset as from_preset
from .serving import export as export

__version__: str
