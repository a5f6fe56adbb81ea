from .two_tower import TwoTower as TwoTower
from .two_tower import train_two_tower as train_two_tower
