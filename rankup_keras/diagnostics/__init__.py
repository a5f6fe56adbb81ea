"""Rank measures of token matrices and embedding tables, and reports about them.

The callback that measures while a model trains is `rk.callbacks.EffectiveRank`.
"""

from rankup_keras.diagnostics.findings import Finding as Finding
from rankup_keras.diagnostics.findings import find_problems as find_problems
from rankup_keras.diagnostics.measure import rank_profile as rank_profile
from rankup_keras.diagnostics.ranks import effective_rank as effective_rank
from rankup_keras.diagnostics.ranks import information_abundance as information_abundance
from rankup_keras.diagnostics.ranks import numerical_rank as numerical_rank
from rankup_keras.diagnostics.ranks import singular_values as singular_values
from rankup_keras.diagnostics.ranks import stable_rank as stable_rank
from rankup_keras.diagnostics.ranks import token_view as token_view
from rankup_keras.diagnostics.record import LayerRanks as LayerRanks
from rankup_keras.diagnostics.record import RankProfile as RankProfile
from rankup_keras.diagnostics.record import TableRanks as TableRanks
from rankup_keras.diagnostics.record import read_profiles as read_profiles
from rankup_keras.diagnostics.relations import TokenRelations as TokenRelations
from rankup_keras.diagnostics.relations import label_information as label_information
from rankup_keras.diagnostics.relations import token_cosine_similarity as token_cosine_similarity
from rankup_keras.diagnostics.relations import token_mutual_information as token_mutual_information
from rankup_keras.diagnostics.relations import token_relations as token_relations
from rankup_keras.diagnostics.report_file import report as report
