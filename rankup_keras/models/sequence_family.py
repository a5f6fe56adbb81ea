"""RankUp's tokens of behavior sequences."""

from typing import Any

from keras import ops

from rankup_keras.features import Events, History
from rankup_keras.layers.tokens import SemanticTokenizer, SequenceTokens, TargetAttention
from rankup_keras.models.embedded_row import side_by_side
from rankup_keras.models.event_sequence import KINDS, choices_by_sequence, sequence_vector
from rankup_keras.models.layer_choice import kind_and_arguments
from rankup_keras.models.token_family import TokenFamily


class Sequences(TokenFamily):
    """One token of every behavior sequence per table set, from the encoder chosen for it."""

    name, table_set = "sequence", "sparse"

    def wanted(self) -> bool:
        names = [f.name for f in self.features.features if isinstance(f, History | Events)]
        choices = choices_by_sequence(self.settings["sequence_encoder"], names)
        self._choices = choices
        for choice in choices.values():
            kind_and_arguments("sequence_encoder", choice, KINDS)
        return bool(names)

    def count(self) -> int:
        return sum(len(self.row.event_sequences(table_set)) for table_set in self.sets)

    def make(self, token_dim: int, table_set: str, ending: str) -> list[Any]:
        name, dtype = f"sequence_tokens{ending}", self.row.dtype
        histories = self.row.sequences(table_set)
        plain = [s for s in histories if self._choices[s.name] == "mean"]
        attended = [s for s in histories if self._choices[s.name] == "attention"]
        done = {s.name for s in (*plain, *attended)}
        tokens = self._pooled(token_dim, table_set, ending, plain)
        tokens += self._attended(token_dim, table_set, ending, attended)
        for index, sequence in enumerate(self.row.event_sequences(table_set), start=1):
            if sequence.name not in done:
                choice, own = self._choices[sequence.name], f"{name}_{index}"
                vector = sequence_vector(sequence, choice, token_dim, own, dtype)
                tokens.append(ops.expand_dims(vector, 1))
        return tokens

    def _histories(self, table_set: str, ending: str, histories: list[Any]) -> Any:
        items, ids = [], []
        for index, sequence in enumerate(histories):
            embedded, of_items = self.row.history(table_set, sequence)
            items.append(self.row.drop(embedded, f"sequence{ending}_{index}_dropout"))
            ids.append(of_items)
        return items, ids

    def _pooled(self, token_dim: int, table_set: str, ending: str, plain: list[Any]) -> list[Any]:
        if not plain:
            return []
        combiners, name = [sequence.combiner for sequence in plain], f"sequence_tokens{ending}"
        layer = SequenceTokens(token_dim, combiners, name=name, dtype=self.row.dtype)
        return [layer(*self._histories(table_set, ending, plain))]

    def _attended(
        self, token_dim: int, table_set: str, ending: str, attended: list[Any]
    ) -> list[Any]:
        if not attended:
            return []
        vectors, name = [], f"attended_sequence_tokens{ending}"
        items, ids = self._histories(table_set, f"{ending}_attended", attended)
        for index, sequence in enumerate(attended):
            layer: Any = TargetAttention(name=f"{name}_attention_{index + 1}", dtype=self.row.dtype)
            candidate = self.row.field(table_set, sequence.table)
            vectors.append(layer(items[index], ids[index], candidate))
        # One group per sequence: each has a projection of its own.
        groups = [[index] for index in range(len(vectors))]
        dims = [vector.shape[-1] for vector in vectors]
        layer = SemanticTokenizer(token_dim, dims, groups, name=name, dtype=self.row.dtype)
        return [layer(side_by_side(vectors))]
