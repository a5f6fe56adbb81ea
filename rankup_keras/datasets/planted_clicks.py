"""Click data made up from known probabilities: what a model could reach at best is known."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.features import Categorical, FeatureSet, History

# Rows are drawn in blocks of this many, each from a generator of its own.
BLOCK = 4096
STRENGTHS = {"main": 0.5, "user_item": 1.0, "pairs": 1.0, "triples": 0.7, "history": 0.7}


@dataclasses.dataclass(frozen=True)
class Expected:
    """Log loss and AUC of predictions, expected over labels that follow true probabilities."""

    log_loss: float
    auc: float


def expected(true: np.ndarray, predicted: np.ndarray) -> Expected:
    """What predictions (rows,) score if row i is clicked with probability `true[i]`.

    No noise of labels is in it: the log loss less that of `true` itself is the
    mean divergence from `true` to `predicted`.
    """
    order = np.argsort(predicted, kind="stable")
    true, predicted = true[order], np.clip(predicted[order], 1e-7, 1 - 1e-7)
    log_loss = -np.mean(true * np.log(predicted) + (1 - true) * np.log1p(-predicted))
    # Of every pair of rows, the chance that the likelier is clicked and the other is not.
    below = np.cumsum(1 - true) - (1 - true)
    pairs = true.sum() * (1 - true).sum() - (true * (1 - true)).sum()
    return Expected(float(log_loss), float(true @ below / pairs))


class PlantedClicks:
    """A stream of rows whose click probabilities are known, as long as anybody reads.

    Every id `a` of a field `f` has a latent vector `v_f(a)` of `rank` normal
    numbers and a main effect `m_f(a)`; ids follow Zipf's law. The logit of a row
    is `bias` plus, each of variance 1 over latents and times its strength,

    - `"main"`: `sum_f m_f / sqrt(F)`;
    - `"user_item"`: `<v_user, v_item> / sqrt(rank)`;
    - `"pairs"`: the sum over planted pairs of fields of `sum_k s_k v_fk v_gk`, signs `s` of
      the pair's own; `"triples"`: the same with three fields;
    - `"history"`: `sum_l w_l <u(h_l), v_item>`, `w_l` halved every `half_life` places back
      from the newest item `h_1`: what was clicked lately counts.

    One seed is one data set: row i is the same however it is read, and any
    range of rows may serve as the test set.

    Args:
        seed: int. Defaults to 0.
        rank: int. Width of the latent vectors. Defaults to 8.
        num_fields: int. F, with `user` and `item`, the others `field_3` and on.
            Defaults to 16.
        num_users, num_items, num_values: ints, ids of users, of items, and of
            each other field. Default to 20,000, 5,000 and 200.
        zipf: float. An id's frequency falls as its number to this power.
            Defaults to 1.05.
        pairs, triples: ints, how many are planted. Default to 16 and 8.
        history_length: int, 0 for none. Defaults to 8.
        half_life: float, in places. Defaults to 2.
        strengths: dict that changes some of the strengths .5, 1, 1, .7, .7.
        bias: float. Defaults to -1.5.

    Raises:
        ValueError: an unknown strength, or fewer than three fields.

    Example:

    ```python
    import rankup_keras as rk

    clicks = rk.datasets.PlantedClicks(rank=4, num_fields=6, num_users=100, num_items=50)
    model = rk.RankMixer(clicks.features(), ["click"], token_dim=8, num_tokens=4)
    model.compile()
    model.fit(clicks.dataset(batch_size=256, rows=2048), verbose=0)     # one pass
    columns, labels, probabilities = clicks.rows(10**9, 1000)           # never trained on
    print(clicks.bayes(10**9, 1000), model.evaluate(columns, labels, verbose=0))
    ```
    """

    def __init__(
        self,
        seed: int = 0,
        rank: int = 8,
        num_fields: int = 16,
        num_users: int = 20_000,
        num_items: int = 5_000,
        num_values: int = 200,
        zipf: float = 1.05,
        pairs: int = 16,
        triples: int = 8,
        history_length: int = 8,
        half_life: float = 2.0,
        strengths: Mapping[str, float] | None = None,
        bias: float = -1.5,
    ) -> None:
        if num_fields < 3 or not set(strengths or {}) <= set(STRENGTHS):
            raise ValueError(
                "PlantedClicks has at least three fields, and strengths of "
                f"{list(STRENGTHS)}. Received: num_fields={num_fields}, strengths={strengths}."
            )
        self.seed, self.rank, self.bias = seed, rank, bias
        self.history_length, self.half_life = history_length, half_life
        self.strengths = {**STRENGTHS, **(strengths or {})}
        names = ["user", "item", *(f"field_{i}" for i in range(3, num_fields + 1))]
        sizes = [num_users, num_items, *[num_values] * (num_fields - 2)]
        self.num_ids = dict(zip(names, sizes, strict=True))
        rng = np.random.default_rng([seed, 0])
        self._main = [rng.normal(size=size) for size in sizes]
        self._latent = [rng.normal(size=(size, rank)) for size in sizes]
        self._past = rng.normal(size=(num_items, rank))
        self._terms = {
            order: [
                (rng.choice(num_fields, order, replace=False), rng.choice([-1.0, 1.0], rank))
                for _ in range(count)
            ]
            for order, count in ((2, pairs), (3, triples))
        }
        self._shares = [np.cumsum(np.arange(1, size + 1.0) ** -zipf) for size in sizes]

    def features(self) -> FeatureSet:
        """A feature set of all columns."""
        sides: dict[str, Any] = {"user": "user", "item": "candidate"}
        columns: list[Any] = [
            Categorical(name, num_ids=size, side=sides.get(name))
            for name, size in self.num_ids.items()
        ]
        if self.history_length:
            columns.append(History("history", of="item", max_length=self.history_length))
        return FeatureSet(columns)

    def rows(
        self, start: int, count: int
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
        """Rows `start` to `start + count`.

        Returns:
            Columns, int64 (rows,), and of the history, oldest item first, (rows, length);
            labels `{"click": float32 (rows,)}`; and true probabilities, float64 (rows,).
        """
        numbers = range(start // BLOCK, -(-(start + count) // BLOCK))
        columns, labels, true = zip(*map(self._block, numbers), strict=True)
        skipped = start - numbers.start * BLOCK

        def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
            return np.concatenate(parts)[skipped : skipped + count]

        found = {name: joined([block[name] for block in columns]) for name in columns[0]}
        return found, {"click": joined(labels)}, joined(true)

    def _block(self, number: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, 1, number])
        ids = [self._draw(rng, field, (BLOCK,)) for field in range(len(self.num_ids))]
        columns = dict(zip(self.num_ids, ids, strict=True))
        if self.history_length:
            columns["history"] = self._draw(rng, 1, (BLOCK, self.history_length))
        true = 1 / (1 + np.exp(-self._logits(ids, columns.get("history"))))
        return columns, (rng.random(BLOCK) < true).astype(np.float32), true

    def _draw(self, rng: np.random.Generator, field: int, shape: tuple[int, ...]) -> np.ndarray:
        shares = self._shares[field]
        return np.searchsorted(shares, rng.random(shape) * shares[-1], side="right")

    def _logits(self, ids: list[np.ndarray], history: np.ndarray | None) -> np.ndarray:
        latent = [table[rows] for table, rows in zip(self._latent, ids, strict=True)]
        main = sum(table[rows] for table, rows in zip(self._main, ids, strict=True))
        parts = {
            "main": main / np.sqrt(len(ids)),
            "user_item": (latent[0] * latent[1]).sum(axis=1) / np.sqrt(self.rank),
            "pairs": self._products(latent, 2),
            "triples": self._products(latent, 3),
        }
        if history is not None:
            weights = 0.5 ** (np.arange(self.history_length)[::-1] / self.half_life)
            weights /= np.sqrt(self.rank * np.square(weights).sum())
            past = np.einsum("l,blk->bk", weights, self._past[history])
            parts["history"] = (past * latent[1]).sum(axis=1)
        return self.bias + sum(self.strengths[name] * part for name, part in parts.items())

    def _products(self, latent: list[np.ndarray], order: int) -> Any:
        terms = self._terms[order]
        total = sum(np.prod([latent[f] for f in fields], axis=0) @ signs for fields, signs in terms)
        return total / np.sqrt(self.rank * max(1, len(terms)))

    def batches(
        self, batch_size: int, start: int = 0, rows: int | None = None
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Columns and labels batch by batch, `rows` of them or without end."""
        place, end = start, None if rows is None else start + rows
        while end is None or place < end:
            count = batch_size if end is None else min(batch_size, end - place)
            yield self.rows(place, count)[:2]
            place += count

    def dataset(self, batch_size: int, start: int = 0, rows: int | None = None) -> tf.data.Dataset:
        """`batches` as a dataset."""
        shapes: dict[str, Any] = dict.fromkeys(self.num_ids, (None,))
        if self.history_length:
            shapes["history"] = (None, self.history_length)
        columns = {name: tf.TensorSpec(shape, tf.int64) for name, shape in shapes.items()}
        signature = (columns, {"click": tf.TensorSpec((None,), tf.float32)})
        made = tf.data.Dataset.from_generator(
            lambda: self.batches(batch_size, start, rows), output_signature=signature
        )
        if rows is not None:
            made = made.apply(tf.data.experimental.assert_cardinality(-(-rows // batch_size)))
        return made.prefetch(2)

    def bayes(self, start: int, count: int) -> Expected:
        """What nobody can beat on these rows: the entropy of their labels, and the AUC.

        Expected over labels; over rows it is a mean, with that sampling error.
        """
        true = self.rows(start, count)[2]
        return expected(true, true)
