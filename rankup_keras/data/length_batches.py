"""Batches of rows whose sequences are about equally long."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from rankup_keras.features import Events, FeatureSet, History


def by_length(
    batches: tf.data.Dataset,
    features: FeatureSet,
    batch_size: int,
    window: int = 32,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Puts rows of about equally long sequences in a batch, for models that leave out padding.

    A model's batch is as long as its longest sequence (`TrimPadding`), so that
    one user of 10,000 events makes all rows of a batch long. Within a window of
    batches rows are sorted by their number of events, and the batches made of
    them come in random order. Batches are no longer independent draws of rows:
    shuffle before, and choose the window no larger than the gain asks for.

    Args:
        batches: batches of encoded rows, or tuples of them and labels, weights:
            `files.dataset(..., encoded=True)` or `features.encode(dataset)`.
        features: whose rows they are.
        batch_size: rows of a batch that comes out.
        window: batches that are sorted together. Defaults to 32.
        seed: of the order of batches, which differs by epoch; `None` (default)
            for one that differs by run.

    Returns:
        A dataset of the same rows in batches of `batch_size`, the last one of
        the rest.

    Raises:
        ValueError: rows that are not encoded, features without `Events` and
            `History`, or a `batch_size` or `window` that is not positive.

    Example:

    ```python
    import tensorflow as tf
    import rankup_keras as rk

    features = rk.FeatureSet([
        rk.Categorical("item", num_ids=9), rk.Events("clicks", {"clicked": "item"}, 1000),
    ])
    rows = {"item": [1] * 6, "clicked": [[2] * n for n in (1, 500, 2, 400, 3, 300)]}
    batches = tf.data.Dataset.from_tensor_slices(features.encode(rows)).batch(2)
    data = rk.data.by_length(batches, features, batch_size=2, window=3)
    print([x["encoded_events"].numpy().sum(1) for x in data])   # 1 and 2, 3 and 300, 400 and 500
    ```
    """
    if batch_size < 1 or window < 1:
        raise ValueError(
            "`batch_size` and `window` must be positive. "
            f"Received: batch_size={batch_size}, window={window}."
        )
    events, histories = features.of_type(Events), features.of_type(History)
    if not events and not histories:
        raise ValueError(
            "`features` must have sequences: Events or History. Received: "
            f"{[feature.name for feature in features.features]}."
        )
    spec = batches.element_spec
    columns = spec[0] if isinstance(spec, tuple) else spec
    if not isinstance(columns, Mapping) or set(columns) != set(features.encoded_spec()):
        raise ValueError(
            f"`batches` must have encoded rows, a dict of {sorted(features.encoded_spec())}. "
            f"Received: {spec}."
        )
    of_history = {f.name: f for f in features.fields() if f.kind == "sequence"}

    def lengths(rows: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """How many events a row has, of all sequences."""
        found, start = [], 0
        for sequence in events:
            depth = len(sequence.channels)
            end = start + sequence.max_length * depth
            found.append(tf.reduce_sum(rows["encoded_events"][:, start:end:depth], axis=1))
            start = end
        for history in histories:
            field = of_history[history.name]
            ids = rows["encoded_ids"][:, field.start : field.start + field.length]
            found.append(tf.cast(tf.math.count_nonzero(ids, axis=1), tf.float32))
        return tf.add_n(found)

    @tf.autograph.experimental.do_not_convert
    def arranged(element: Any, random: tf.Tensor) -> Any:
        rows = element[0] if isinstance(element, tuple) else element
        # Below one: equally long rows are shuffled.
        own = lengths(rows)
        order = tf.argsort(own + tf.random.stateless_uniform(tf.shape(own), [random, 0]))
        whole = tf.shape(order)[0] // batch_size
        blocks = tf.reshape(order[: whole * batch_size], (whole, batch_size))
        shuffled = tf.argsort(tf.random.stateless_uniform((whole,), [random, 1]))
        blocks = tf.reshape(tf.gather(blocks, shuffled), (-1,))
        order = tf.concat([blocks, order[whole * batch_size :]], axis=0)
        return tf.nest.map_structure(lambda x: tf.gather(x, order), element)

    random = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
    windows = batches.rebatch(batch_size * window)
    return (
        tf.data.Dataset.zip(windows, random)
        .map(arranged, tf.data.AUTOTUNE)
        .rebatch(batch_size)
        .prefetch(1)
    )
