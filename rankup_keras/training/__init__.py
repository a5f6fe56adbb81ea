"""What training needs beside `fit`: the state of exact resume, and vectors of a two-tower model."""

from rankup_keras.training.two_tower import TwoTower as TwoTower
from rankup_keras.training.two_tower import train_two_tower as train_two_tower
