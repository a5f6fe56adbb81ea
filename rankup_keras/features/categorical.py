"""Categorical columns, single- and multi-valued."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.features.feature import Feature, Side, one_of, positive_int
from rankup_keras.features.spec import COMBINERS

# Ids are int32, and the first two stand for missing and unknown values.
MAX_IDS = 2**31 - 3


@serializable
class Categorical(Feature):
    """A categorical column, each value of which reads a row of an embedding table.

    Values become ids in one of three ways:

    - *vocabulary* (the default): a list, a text file with one value per line,
      or, when `vocabulary` is `None`, learned by `FeatureSet.adapt`, most
      frequent first. Unknown values share an out-of-vocabulary id.
    - *hashing* into `hash_buckets` ids: nothing to learn, values may collide.
      With `num_hashes` k > 1 (double hashing for k = 2) a value has k ids, by k
      hash functions, in the same table, and its vector is the mean of their
      rows, `Σ_j E[h_j(v)] / k`. Two values then share their vector only if all
      their ids agree, for about `k! / hash_buckets^k` of all pairs instead of
      `1 / hash_buckets`; they share single rows more often.
    - *integer ids* `0 <= id < num_ids`: values are used as they are.

    Id 0 stands for a missing value (`""`, `None`, NaN, `-1`). In a
    single-valued column it has a learned embedding of its own; in a
    multi-valued column it is padding and does not count.

    Args:
        name: str. Name of the raw column.
        vocabulary: list of values, path of a text file with one value a line,
            or `None` to learn it.
        hash_buckets: int or `None`. Number of hash buckets.
        num_hashes: int. Number of hash functions, with `hash_buckets`: no more
            memory, but that many rows are read and updated per value. Defaults
            to 1.
        num_ids: int or `None`. Number of integer ids.
        max_length: int or `None`. `None` for a single value; otherwise the
            number of values kept of a multi-valued column, the first ones.
        combiner: `"mean"`, `"sum"` or `"sqrtn"`. How the embeddings of a
            multi-valued column are combined.
        embedding_dim: int or `None`. Width of the table, `None` for the
            model's.
        min_count: int. Values seen less often while adapting are left out.
        max_tokens: int or `None`. Keep only this many most frequent values.
        oov_buckets: int. Number of ids that share the unknown values.
        dtype: `"string"`, `"int64"` or `None`. Type of the raw column; `None`
            means `int64` for integer ids and for a vocabulary of ints, the
            data's own type when a vocabulary is learned, else `string`.
        side: see `Feature`.
        group: see `Feature`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([
        rk.Categorical("user_id", hash_buckets=1000, num_hashes=2, side="user"),
        rk.Categorical("genres", vocabulary=["drama", "comedy"], max_length=3),
    ])
    ids = features.encode({"user_id": ["u1"], "genres": [["comedy", "western"]]})["encoded_ids"]
    assert ids.shape == (1, 2 + 3)
    ```

    Raises:
        ValueError: if more than one of `vocabulary`, `hash_buckets` and
            `num_ids` is given, `num_hashes` without `hash_buckets`, or a value
            is out of its range.

    References:
        - Svenstrup, Hansen and Winther, "Hash Embeddings for Efficient Word
          Representations", NeurIPS 2017, arXiv 1709.03933 (rows of one table by
          several hash functions; its weights of the rows, which need a row per
          id again, are fixed here to 1/k).
        - Zhang et al., "Model Size Reduction Using Frequency Based Double
          Hashing for Recommender Systems", RecSys 2020 (two functions).
    """

    def __init__(
        self,
        name: str,
        vocabulary: Sequence[str] | Sequence[int] | str | Path | None = None,
        hash_buckets: int | None = None,
        num_ids: int | None = None,
        max_length: int | None = None,
        combiner: str = "mean",
        embedding_dim: int | None = None,
        min_count: int = 1,
        max_tokens: int | None = None,
        oov_buckets: int = 1,
        dtype: str | None = None,
        side: Side | None = None,
        group: str | None = None,
        num_hashes: int = 1,
    ) -> None:
        super().__init__(name, side, group)
        owner = f"feature {name!r}"
        ways = {"vocabulary": vocabulary, "hash_buckets": hash_buckets, "num_ids": num_ids}
        given = [argument for argument, value in ways.items() if value is not None]
        if len(given) > 1:
            raise ValueError(
                f"Give at most one of `vocabulary`, `hash_buckets` and `num_ids` to {owner}. "
                f"Received: {', '.join(given)}."
            )
        self.hash_buckets = positive_int(hash_buckets, "hash_buckets", owner, optional=True)
        self.num_ids = positive_int(num_ids, "num_ids", owner, optional=True)
        for argument, size in (("hash_buckets", hash_buckets), ("num_ids", num_ids)):
            if size is not None and size > MAX_IDS:
                raise ValueError(
                    f"`{argument}` of {owner} must be at most {MAX_IDS}, since ids are 32-bit. "
                    f"Received: {argument}={size}."
                )
        self.num_hashes = positive_int(num_hashes, "num_hashes", owner) or 1
        if num_hashes > 1 and hash_buckets is None:
            raise ValueError(
                f"`num_hashes` of {owner} needs `hash_buckets`, since only hashed values "
                f"collide. Received: num_hashes={num_hashes}, hash_buckets=None."
            )
        self.max_length = positive_int(max_length, "max_length", owner, optional=True)
        self.embedding_dim = positive_int(embedding_dim, "embedding_dim", owner, optional=True)
        self.min_count = positive_int(min_count, "min_count", owner)
        self.max_tokens = positive_int(max_tokens, "max_tokens", owner, optional=True)
        self.oov_buckets = positive_int(oov_buckets, "oov_buckets", owner)
        self.combiner = one_of(combiner, COMBINERS, "combiner", owner)
        if isinstance(vocabulary, Path):
            vocabulary = str(vocabulary)
        if vocabulary is not None and not isinstance(vocabulary, str):
            vocabulary = _checked_vocabulary(vocabulary, owner)
        self.vocabulary = vocabulary
        one_of(dtype, ("string", "int64", None), "dtype", owner)
        if dtype is None:
            if num_ids is not None or (isinstance(vocabulary, list) and type(vocabulary[0]) is int):
                dtype = "int64"
            elif hash_buckets is not None or vocabulary is not None:
                dtype = "string"
        if num_ids is not None and dtype != "int64":
            raise ValueError(
                f"`dtype` of {owner} must be 'int64', since it has `num_ids`. "
                f"Received: dtype={dtype!r}."
            )
        self.dtype = dtype

    @property
    def kind(self) -> str:
        return "single" if self.max_length is None else "bag"

    @property
    def uses_vocabulary(self) -> bool:
        return self.hash_buckets is None and self.num_ids is None

    @property
    def learns_vocabulary(self) -> bool:
        return self.uses_vocabulary and self.vocabulary is None

    def raw_spec(self) -> tf.TensorSpec:
        shape = (None,) if self.max_length is None else (None, None)
        return tf.TensorSpec(shape, tf.as_dtype(self.dtype or "string"), name=self.name)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            vocabulary=self.vocabulary,
            hash_buckets=self.hash_buckets,
            num_ids=self.num_ids,
            max_length=self.max_length,
            combiner=self.combiner,
            embedding_dim=self.embedding_dim,
            min_count=self.min_count,
            max_tokens=self.max_tokens,
            oov_buckets=self.oov_buckets,
            dtype=self.dtype,
            num_hashes=self.num_hashes,
        )
        return config


def _checked_vocabulary(values: Sequence[Any], owner: str) -> list[Any]:
    """A vocabulary as a list of Python strings or ints."""
    if isinstance(values, Mapping | Set):
        raise ValueError(
            f"`vocabulary` of {owner} must be a list, whose order numbers the values. "
            f"Received: {type(values).__name__}."
        )
    values = values.to_pylist() if hasattr(values, "to_pylist") else values
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    if not values:
        raise ValueError(f"`vocabulary` of {owner} must not be empty.")
    kinds = {type(value) for value in values}
    if kinds not in ({str}, {int}):
        raise ValueError(
            f"`vocabulary` of {owner} must hold strings only or ints only. "
            f"Received values of {sorted(kind.__name__ for kind in kinds)}."
        )
    try:
        "".join(filter(lambda v: isinstance(v, str), values)).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"`vocabulary` of {owner} holds text that is no UTF-8: {error}") from None
    broken = [v for v in values if isinstance(v, str) and ("\n" in v or "\r" in v)]
    if broken:
        raise ValueError(
            f"`vocabulary` of {owner} must not hold values with line breaks: it is kept as a file "
            f"with one value a line. Received {len(broken)} of them, such as {broken[0]!r}."
        )
    if kinds == {int} and not -(2**63) <= min(values) <= max(values) < 2**63:
        raise ValueError(f"`vocabulary` of {owner} holds ids beyond 64 bits: write them as text.")
    twice = [value for value, count in Counter(values).items() if count > 1][:1]
    for value in [*twice, *({"", -1} & {*values})][:1]:
        why = "twice" if twice else "which is what is missing"
        raise ValueError(f"`vocabulary` of {owner} must hold no {value!r} {why}.")
    return values
