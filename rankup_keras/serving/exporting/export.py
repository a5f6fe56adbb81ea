"""From a trained model to a version directory that a `tensorflow_model_server` serves."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.serving import rows
from rankup_keras.serving.exporting import card as card_lib
from rankup_keras.serving.exporting import gate, version_directory
from rankup_keras.serving.exporting import warmup as warmup_lib
from rankup_keras.serving.exporting.signatures import Signatures

COMPARED_ROWS = 1000
RANKED_ROWS = 256
# Casts and fused kernels differ in their last bit between eager code and a graph.
_TOLERANCE = {"float32": 1e-6, "float64": 1e-6}
_HALF_TOLERANCE = 2e-2


def export(
    model: keras.Model,
    path: str | os.PathLike,
    version: int | None = None,
    warmup: Any = None,
    signatures: Sequence[str] | None = None,
    user_columns: Sequence[str] | None = None,
    batch_sizes: Sequence[int] = (1, 10, 100),
    batching: bool = False,
    metrics: Mapping[str, float] | None = None,
    effective_rank: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
    pooled: str = "pooling",
) -> Path:
    """Writes `<path>/<version>/`, checked and complete, or nothing at all.

    The preprocessing of `model.features` is baked into the graph, so a request
    carries raw columns and gets named probabilities. The directory is written
    under a name that servers ignore; it is loaded as a C++ server loads it and
    compared with the model; and it is renamed into place in one step. A
    running server that watches `path` picks it up without losing a request.

    Args:
        model: a model of this package, or any `keras.Model` over encoded
            columns with an attribute `features` (a `FeatureSet`).
        path: the model's base path, e.g. `"saved_models/ranker"`: local, since
            a rename is what makes the swap atomic. Its last part is the name
            that the model is served under.
        version: the version's number. Defaults to one above the highest there.
        warmup: real raw rows: a dict of columns, pandas frame, pyarrow table
            or batched `tf.data.Dataset`. The first 1000 are compared with the
            model's predictions, and warm-up records are made of them, so that
            a new version's first requests are as fast as the rest. Without
            them there are no records, and rows of missing values are compared.
        signatures: names among `serving_default`, `rank`, `classify`,
            `regress` (`regress_<task>` for tasks after the first) and `embed`.
            Defaults to all that the model can have.
        user_columns: the columns that a `rank` request sends once. Defaults to
            the features with `side="user"`.
        batch_sizes: batch sizes to warm up; with `batching`, also the server's
            `allowed_batch_sizes`. Defaults to `(1, 10, 100)`.
        batching: whether the server will batch requests together. Such a
            server refuses `rank` (its tensors differ in batch size), so `rank`
            gets no warm-up record. Defaults to `False`.
        metrics: numbers for the card. Defaults to the last epoch's, where the
            model was trained in this process.
        effective_rank: effective rank by layer, for the card. Defaults to what
            `diagnostics.rank_profile` measures on the first 256 rows of `warmup`.
        tolerance: largest difference from the model's own probabilities.
            Defaults to 1e-6, or 0.02 where the model computes in half precision.
        pooled: name of the layer whose output `embed` gives. Defaults to
            `"pooling"`.

    Returns:
        The version directory.

    Example:

    ```python
    rankup_keras.export(model, "saved_models/ranker", warmup=valid)  # saved_models/ranker/1
    ```

    Raises:
        ExportError: the export failed a check; it names every problem, and
            nothing was published.
        FileExistsError: `version` is taken.
    """
    check_model(model)
    version_directory.check_version(path, version)
    batch_sizes = check_batch_sizes(batch_sizes)
    makers = Signatures(model, user_columns, pooled)
    names = check_names(makers, signatures)
    if tolerance is None:
        tolerance = _TOLERANCE.get(model.dtype_policy.compute_dtype, _HALF_TOLERANCE)
    if warmup is None:
        sample = rows.blank_rows(makers.spec, 2)
    else:
        sample = rows.raw_rows(warmup, makers.spec, max(COMPARED_ROWS, max(batch_sizes)))
    name = Path(path).resolve().name
    measured = {}
    if warmup is not None and effective_rank is None:
        measured = card_lib.effective_ranks(model, rows.take(sample, RANKED_ROWS))
    with version_directory.writing(path) as place:
        write_saved_model(model, place, makers, names)
        records = 0
        if warmup is not None:
            records = _write_records(place, sample, names, batch_sizes, batching, makers, name)
        found = gate.check_export(
            place,
            model,
            makers,
            rows.take(sample, min(rows.count_rows(sample), COMPARED_ROWS)),
            tolerance,
            batch_sizes,
            batching,
        )
        card = card_lib.make_card(
            model,
            name,
            found,
            makers.sides,
            tasks=makers.tasks,
            metrics=dict(card_lib.last_metrics(model) if metrics is None else metrics),
            effective_rank=measured if effective_rank is None else dict(effective_rank),
            batch_sizes=batch_sizes,
            batching=batching,
            warmup_records=records,
        )
        card_lib.write_card(place, card)
        return version_directory.publish(place, version)


def check_model(model: Any) -> None:
    """Refuses what has no columns to be served by."""
    if not isinstance(model, keras.Model) or not hasattr(model, "features"):
        raise ValueError(
            "`model` must be a keras.Model with an attribute `features` that encodes raw columns, "
            f"such as rankup_keras.RankUp. Received: {type(model).__name__}"
        )
    on_tpu = [layer for layer in model.layers if getattr(layer, "on_tpu", False)]
    if on_tpu:
        raise ValueError(
            "`model` has its tables on a TPU, which a server has not: export "
            "`rankup_keras.models.copy_to_host(model)`. "
            f"Received: layer '{on_tpu[0].name}' on a TPU."
        )


def check_batch_sizes(sizes: Sequence[int]) -> list[int]:
    """The batch sizes in ascending order, or an error that says what they must be."""
    if not sizes or any(isinstance(s, bool) or not isinstance(s, int) or s < 1 for s in sizes):
        raise ValueError(
            f"`batch_sizes` must be positive integers. Received: batch_sizes={sizes!r}"
        )
    return sorted(set(sizes))


def check_names(makers: Signatures, names: Sequence[str] | None) -> list[str]:
    """The signatures to write, `serving_default` first: clients that name none get it."""
    available = makers.available()
    if names is None:
        return available
    unknown = sorted(set(names) - set(available))
    if unknown or "serving_default" not in names:
        raise ValueError(
            f"`signatures` must have 'serving_default' and be among {available}. "
            f"Received: signatures={list(names)}"
        )
    return [name for name in available if name in names]


def write_saved_model(
    model: keras.Model, place: Path, makers: Signatures, names: Sequence[str]
) -> None:
    """Traces the signatures and writes the SavedModel into `place`."""
    # Not the model, whose variables would be written twice: those that endpoints use are tracked by
    # themselves, and those that none uses, which held kernels were cast from, are left out.
    archive = keras.export.ExportArchive()
    archive.track(model.features)
    for part in tf.train.TrackableView(model).descendants():
        if isinstance(part, tf.saved_model.experimental.TrackableResource):
            archive.track(part)
    for name in names:
        function, spec = makers.endpoint(name)
        archive.add_endpoint(name, function, [spec])
    archive.write_out(str(place), verbose=False)
    methods = {name: method for name in names if (method := makers.method(name))}
    if methods:
        # TensorFlow 2 calls every signature a predict one; a server started with
        # --enable_signature_method_name_check wants the real names.
        saved = gate.read_saved_model(place)
        for name, method in methods.items():
            saved.meta_graphs[0].signature_def[name].method_name = method
        (place / "saved_model.pb").write_bytes(saved.SerializeToString(deterministic=True))


def _write_records(
    place: Path,
    sample: rows.Rows,
    names: Sequence[str],
    batch_sizes: Sequence[int],
    batching: bool,
    makers: Signatures,
    model_name: str,
) -> int:
    warmed = [name for name in names if not (batching and name == "rank")]
    return warmup_lib.write_warmup(
        place, warmup_lib.records(sample, warmed, batch_sizes, makers.sides, model_name)
    )
