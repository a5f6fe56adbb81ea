"""From activations and tables to the numbers of a `RankProfile`."""

import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from rankup_keras.diagnostics import ranks
from rankup_keras.diagnostics.embedding_tables import embedding_tables
from rankup_keras.diagnostics.probe import Probe, make_probe
from rankup_keras.diagnostics.record import QUANTILES, LayerRanks, RankProfile, TableRanks
from rankup_keras.diagnostics.taps import CallableTaps, Taps

# A token's spread over samples, or its size beside the other tokens', under
# which it carries nothing: well above rounding in bfloat16 of a constant,
# which is exact, and far below any token that a network still uses.
_NOTHING = 1e-6

_SPECTRUM_VALUES = 64

# What reads the activations of a model, which costs a trace: as long as the model lives.
_TAPS: weakref.WeakKeyDictionary[Any, dict[Any, Taps]] = weakref.WeakKeyDictionary()


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

    Raises:
        ValueError: The model has no such layers, or the data are too few or
            lack an input.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    rows = {"item": np.array(["a", "b", "c", "d"] * 16), "user": np.array(["u", "v"] * 32)}
    features = rk.FeatureSet([rk.Categorical("item"), rk.Categorical("user")]).adapt(rows)
    model = rk.RankMixer(features, ["click"], token_dim=8, num_tokens=2, num_blocks=1)
    print(rk.diagnostics.rank_profile(model, rows))
    ```
    """
    taps = taps_of(model, layers, activations)
    tables = embedding_tables(model) if table_rows and model is not None else {}
    return measure(taps, make_probe(model, data, samples), tables, table_rows, label=label)


def taps_of(
    model: Any,
    layers: Sequence[str] | None = None,
    activations: Callable[[Any], Mapping[str, Any]] | None = None,
) -> Taps | CallableTaps:
    """What reads the activations: the model's graph, or the user's function where there is one."""
    if activations is not None:
        return CallableTaps(activations)
    key = None if layers is None else tuple(layers)
    known = _TAPS.get(model, {}) if isinstance(model, keras.Model) else {}
    if key not in known:
        taps = Taps(model, layers)
        _TAPS.setdefault(model, {})[key] = taps
        return taps
    return known[key]


def activations_of(taps: Taps | CallableTaps, probe: Probe) -> dict[str, list[np.ndarray]]:
    """Every layer's activations on the probe, in parts over the batch."""
    collected: dict[str, list[np.ndarray]] = {}
    for batch in probe.batches:
        for name, array in taps(batch).items():
            collected.setdefault(name, []).append(array)
    return {name: collected[name] for name in taps.names}


def measure(
    taps: Taps | CallableTaps,
    probe: Probe,
    tables: Mapping[str, Any],
    table_rows: int,
    label: str,
    step: int = 0,
    epoch: int = 0,
) -> RankProfile:
    """Runs the probe through the taps and takes the ranks of every layer and table."""
    start = time.perf_counter()
    activations = activations_of(taps, probe)
    layers = {name: measure_layer(name, activations.pop(name)) for name in taps.names}
    for name in taps.branches:
        layers[name].branch = True
    profile = RankProfile(label, step, epoch, layers, measure_tables(tables, table_rows))
    profile.seconds = time.perf_counter() - start
    return profile


def measure_layer(name: str, parts: list[np.ndarray]) -> LayerRanks:
    """The ranks of one layer from its activations, in parts over the batch."""
    sizes = {part.shape[1:] for part in parts}
    if len(sizes) > 1:
        raise ValueError(
            f"Layer '{name}' gives token matrices of different sizes {sorted(sizes)} for different "
            "batches of the probe data. Pad the probe data to equal length."
        )
    x = parts[0] if len(parts) == 1 else np.concatenate(parts)
    samples, tokens, width = x.shape
    values = ranks.singular_values(x)
    good = np.isfinite(values).all(axis=1)
    values, kept = values[good], x[good]
    by_sample = ranks.entropy_rank(values)
    token_values = ranks.singular_values(ranks.token_view(kept))
    dead, constant = idle_tokens(kept)
    some = len(values) > 0
    quantiles = np.quantile(by_sample, QUANTILES) if some else np.full(len(QUANTILES), np.nan)
    token_ranks = ranks.entropy_rank(token_values) if some else np.full(tokens, np.nan)
    # Smaller shares than this are not resolved by the Gram matrix.
    tolerance = max(1e-6, ranks.default_tolerance(x))
    return LayerRanks(
        tokens=tokens,
        width=width,
        samples=samples,
        ceiling=min(tokens, width),
        mean=_mean(by_sample),
        quantiles=quantiles.tolist(),
        stable=_mean(ranks.energy_rank(values)),
        numerical=_mean(ranks.counted_rank(values, tolerance)),
        token_ceiling=min(samples, width),
        token_ranks=token_ranks.tolist(),
        cosine=token_cosine(kept) if some else float("nan"),
        spectrum=_spectrum(values),
        token_spectrum=_spectrum(token_values)[:_SPECTRUM_VALUES],
        dead=dead,
        constant=constant,
        not_finite=int(samples - good.sum()),
    )


def measure_tables(tables: Mapping[str, Any], rows: int) -> dict[str, TableRanks]:
    """Information abundance of embedding tables, from at most `rows` rows of each.

    Args:
        tables: By name, objects with `rows`, `dim` and `read(indices)`.
        rows: Most rows to read; a larger table is sampled evenly.
    """
    found = {}
    for name, table in tables.items():
        count = min(rows, table.rows)
        chosen = np.linspace(0, table.rows - 1, count).round().astype(np.int64)
        values = table.read(chosen)
        found[name] = TableRanks(
            rows=table.rows,
            dim=table.dim,
            measured=count,
            abundance=float(ranks.information_abundance(values)),
            ceiling=min(count, table.dim),
        )
    return found


def idle_tokens(x: np.ndarray) -> tuple[list[int], list[int]]:
    """Indices of the tokens that are zero, and of those that no sample changes."""
    if not len(x):
        return [], []
    exact = x.astype(np.float32)
    size = np.sqrt(np.square(exact).mean(axis=(0, 2)))
    spread = np.sqrt(np.square(exact - exact[:1]).mean(axis=(0, 2)))
    dead = size <= _NOTHING * size.max()
    constant = ~dead & (spread <= _NOTHING * size) if len(x) > 1 else np.zeros_like(dead)
    return np.flatnonzero(dead).tolist(), np.flatnonzero(constant).tolist()


def token_cosine(x: np.ndarray) -> float:
    """Mean cosine similarity between different tokens of one sample; zero tokens count as 0."""
    tokens = x.shape[1]
    if tokens < 2:
        return 0.0
    exact = x.astype(np.float32)
    norm = np.linalg.norm(exact, axis=-1, keepdims=True)
    unit = exact / np.where(norm == 0.0, 1.0, norm)
    pairs = np.square(np.linalg.norm(unit.sum(axis=1), axis=-1)) - (norm[..., 0] > 0).sum(axis=1)
    return float(pairs.mean() / (tokens * (tokens - 1)))


def _spectrum(values: np.ndarray) -> list[float]:
    if not len(values):
        return []
    total = values.sum(axis=1, keepdims=True)
    return (values / np.where(total == 0.0, 1.0, total)).mean(axis=0).tolist()


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
