"""How tokens relate to one another and to the labels."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rankup_keras.diagnostics import plots, ranks
from rankup_keras.diagnostics.clusters import cluster_tokens
from rankup_keras.diagnostics.measure import activations_of, taps_of
from rankup_keras.diagnostics.probe import make_probe


def token_mutual_information(
    x: Any, clusters: int = 16, normalize: bool = True, seed: int = 0
) -> np.ndarray:
    """Mutual information between tokens, by clustering.

    k-means clusters the samples of each token, and the mutual information of
    two tokens is that of their cluster numbers. Tokens that say the same thing
    score high however they are rotated; unrelated tokens score near 0.

    A finite number of samples makes independent tokens look related by about
    `(clusters - 1)**2 / (2 * samples)` nats; this is taken off.

    Args:
        x: Activations `(batch, tokens, width)`, some thousands of samples.
        clusters: Number of clusters per token. Defaults to 16.
        normalize: If `True`, divides by the mean entropy of the two tokens,
            so that equal tokens score 1; else the result is in nats.
        seed: Seed of the first centres.

    Returns:
        float64 array `(tokens, tokens)`, symmetric; the diagonal is a token
        with itself.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    x = np.random.normal(size=(512, 3, 4))
    x[:, 1] = -x[:, 0]
    information = rk.diagnostics.token_mutual_information(x, clusters=4)
    assert information[0, 1] > information[0, 2]
    ```

    References:
    - [RankUp](https://arxiv.org/abs/2604.17878), figure 2.
    """
    codes = cluster_tokens(_finite_activations(x), clusters, seed)
    information = _information(codes, codes)
    entropies = _entropy(_one_hot(codes).sum(axis=0))
    np.fill_diagonal(information, entropies)
    # The two orders of a sum differ in their last digit.
    information = (information + information.T) / 2
    if not normalize:
        return information
    mean = (entropies[:, None] + entropies) / 2
    return np.divide(information, mean, out=np.zeros_like(mean), where=mean > 0)


def token_cosine_similarity(x: Any) -> np.ndarray:
    """Cosine similarity between tokens of a sample, averaged over samples.

    Args:
        x: Activations `(batch, tokens, width)`.

    Returns:
        float64 array `(tokens, tokens)`; a zero token has similarity 0.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    x = np.array([[[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]])
    similarity = rk.diagnostics.token_cosine_similarity(x)
    assert similarity[0].tolist() == [1.0, 1.0, 0.0]
    ```
    """
    array = _finite_activations(x).astype(np.float64)
    norm = np.linalg.norm(array, axis=-1, keepdims=True)
    unit = array / np.where(norm == 0.0, 1.0, norm)
    return (unit @ unit.swapaxes(1, 2)).mean(axis=0)


def label_information(x: Any, labels: Any, clusters: int = 16, seed: int = 0) -> np.ndarray:
    """What each token tells about a label: the share of the label's entropy it removes.

    Mutual information between a token's cluster (see
    `token_mutual_information`) and the label, over the label's entropy.

    Args:
        x: Activations `(batch, tokens, width)`, some thousands of samples.
        labels: Labels `(batch,)` or `(batch, 1)`, of few distinct values.
        clusters: Number of clusters per token. Defaults to 16.
        seed: Seed of the first centres.

    Returns:
        float64 array `(tokens,)` between 0 and 1.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    x = np.random.normal(size=(512, 2, 4))
    labels = x[:, 0, 0] > 0.0
    told = rk.diagnostics.label_information(x, labels)
    assert told[0] > told[1]
    ```
    """
    array = _finite_activations(x)
    classes = np.unique(np.asarray(labels).reshape(-1), return_inverse=True)[1]
    if len(classes) != len(array):
        raise ValueError(
            "`labels` must hold one value per sample. "
            f"Received {len(classes)} labels for {len(array)} samples."
        )
    if classes.max() + 1 > 100:
        raise ValueError(
            "`labels` must have few distinct values (click or no click). "
            f"Received {classes.max() + 1}."
        )
    entropy = _entropy(np.bincount(classes))
    shared = _information(cluster_tokens(array, clusters, seed), classes[:, None])[:, 0]
    return shared / entropy if entropy > 0.0 else np.zeros(len(shared))


@dataclasses.dataclass(frozen=True)
class TokenRelations:
    """Relations of one layer's tokens.

    Attributes:
        layer: The layer's name.
        mutual_information: `(tokens, tokens)`, see `token_mutual_information`.
        cosine: `(tokens, tokens)`, see `token_cosine_similarity`.
        label_information: By task, `(tokens,)`, see `label_information`.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    information, cosine = np.eye(4), np.eye(4)
    relations = rk.diagnostics.TokenRelations("tokens", information, cosine, {})
    relations.plot("tokens.png")
    ```
    """

    layer: str
    mutual_information: np.ndarray
    cosine: np.ndarray
    label_information: dict[str, np.ndarray]

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draws the two matrices, and the label information where there is some.

        Args:
            path: Image file to write.

        Returns:
            The Matplotlib figure.
        """
        panels = plots.relation_panels(self)
        figure = plots.picture(panels, 1.0 + 4.6 * len(panels), 4.4)
        if path is not None:
            figure.savefig(path)
        return figure


def token_relations(
    model: Any,
    data: Any,
    layers: Sequence[str] | None = None,
    samples: int = 2048,
    clusters: int = 16,
    seed: int = 0,
) -> dict[str, TokenRelations]:
    """Measures how a model's tokens relate to one another and to the labels.

    Args:
        model: A Functional Keras model with activations
            `(batch, tokens, width)`.
        data: Rows to measure on, as `rank_profile` takes them; with labels
            where the label information is wanted.
        layers: Names of the layers. `None` takes the same as `rank_profile`.
        samples: Most rows to measure on. Defaults to 2048.
        clusters: Number of clusters per token. Defaults to 16.
        seed: Seed of the first centres.

    Returns:
        `TokenRelations` by layer.

    Example:
    ```python
    import keras, numpy as np
    import rankup_keras as rk

    x = keras.Input((4, 8))
    model = keras.Model(x, keras.layers.Dense(8, name="dense")(x))
    rows, labels = np.random.normal(size=(256, 4, 8)), np.random.randint(0, 2, 256)
    relations = rk.diagnostics.token_relations(model, (rows, labels), clusters=4)
    relations["dense"].plot("tokens.png")
    ```

    References:
    - [RankUp](https://arxiv.org/abs/2604.17878), figure 2.
    """
    probe = make_probe(model, data, samples)
    labels = {} if probe.labels is None else probe.labels
    by_task: Mapping[str, Any] = labels if isinstance(labels, Mapping) else {"label": labels}
    found = {}
    for name, parts in activations_of(taps_of(model, layers), probe).items():
        x = np.concatenate(parts)
        found[name] = TokenRelations(
            layer=name,
            mutual_information=token_mutual_information(x, clusters, seed=seed),
            cosine=token_cosine_similarity(x),
            label_information={
                task: label_information(x, values, clusters, seed)
                for task, values in by_task.items()
            },
        )
    return found


def _finite_activations(x: Any) -> np.ndarray:
    array = ranks.as_activations(x)
    if not np.isfinite(array.astype(np.float32)).all():
        raise ValueError("`x` holds NaN or infinity: leave those samples out first.")
    return array


def _entropy(counts: np.ndarray) -> np.ndarray:
    """Of distributions along the last axis, in nats."""
    share = counts / counts.sum(axis=-1, keepdims=True)
    return -(share * np.log(np.where(share > 0, share, 1))).sum(axis=-1)


def _one_hot(codes: np.ndarray) -> np.ndarray:
    """(samples, columns, values), in float64."""
    return (codes[..., None] == np.arange(codes.max() + 1)).astype(np.float64)


def _information(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of every column of `first` (samples, A) and every one of `second` (samples, B): (A, B)."""
    a, b = _one_hot(first), _one_hot(second)
    tables = np.tensordot(a, b, axes=(0, 0)).swapaxes(1, 2)
    rows, columns = a.sum(axis=0), b.sum(axis=0)
    joint = _entropy(tables.reshape(*tables.shape[:2], -1))
    # What independent tokens would show with so few samples.
    free_a, free_b = ((counts > 0).sum(axis=-1) - 1 for counts in (rows, columns))
    chance = free_a[:, None] * free_b / (2.0 * len(first))
    return np.maximum(0.0, _entropy(rows)[:, None] + _entropy(columns) - joint - chance)
