"""One measurement without training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rankup_keras.diagnostics.embedding_tables import embedding_tables
from rankup_keras.diagnostics.measure import measure, measure_tables
from rankup_keras.diagnostics.probe import make_probe
from rankup_keras.diagnostics.record import RankProfile
from rankup_keras.diagnostics.taps import CallableTaps, Taps


def rank_profile(
    model: Any,
    data: Any,
    layers: Sequence[str] | None = None,
    samples: int = 256,
    activations: Callable[[Any], Mapping[str, Any]] | None = None,
    table_rows: int = 10_000,
    label: str = "now",
) -> RankProfile:
    """Measures the effective rank of every layer of a model, once.

    Args:
        model: A Functional Keras model with activations
            `(batch, tokens, width)`; one of this package or any other.
        data: Rows to measure on: raw columns, inputs of the model, a tuple
            `(x, y)`, or a batched `tf.data.Dataset`.
        layers: Names of the layers to measure. `None` takes the tokenizer's
            end and every mixer and FFN of this package's models, and every
            layer with a floating output of rank 3 of another model.
        samples: Most rows to measure on. Defaults to 256, as in `EffectiveRank`.
        activations: For a model without a Functional graph, a function from a
            batch of inputs to a dict of `(batch, tokens, width)` arrays.
        table_rows: Most rows read of each embedding table; 0 for none.
            Defaults to 10,000.
        label: What the profile calls itself when printed.

    Returns:
        A `RankProfile`; `print` shows it as a table.

    Example:
    ```python
    print(rk.diagnostics.rank_profile(model, valid))
    ```
    """
    taps = Taps(model, layers) if activations is None else CallableTaps(activations)
    profile = measure(taps, make_probe(model, data, samples), label=label, step=0, epoch=0)
    if table_rows and model is not None:
        profile.tables = measure_tables(embedding_tables(model), table_rows)
    return profile
