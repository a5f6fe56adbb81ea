"""Public data sets in their own formats."""

from rankup_keras.datasets.ali_ccp_set import ali_ccp as ali_ccp
from rankup_keras.datasets.avazu_set import avazu as avazu
from rankup_keras.datasets.criteo_set import criteo as criteo
from rankup_keras.datasets.frappe_set import frappe as frappe
from rankup_keras.datasets.kuairand_set import kuairand as kuairand
from rankup_keras.datasets.movielens import movielens_100k as movielens_100k
from rankup_keras.datasets.movielens import movielens_features as movielens_features
from rankup_keras.datasets.movielens_set import movielens_1m as movielens_1m
from rankup_keras.datasets.movielens_set import movielens_20m as movielens_20m
from rankup_keras.datasets.movielens_set import movielens_32m as movielens_32m
from rankup_keras.datasets.public_set import PublicSet as PublicSet
