"""The gate before the rename: what a server would refuse or get wrong is found here."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from tensorflow.core.protobuf import saved_model_pb2

from rankup_keras.serving import messages
from rankup_keras.serving.exporting import warmup
from rankup_keras.serving.exporting.session import (
    STRING,
    SavedModelSession,
    Signature,
    load_session,
)
from rankup_keras.serving.exporting.signatures import CLASSIFY, EMBEDDING, Signatures
from rankup_keras.serving.rows import count_rows, take

# Protobuf's own limit: a larger graph cannot be read at all.
MAX_GRAPH_BYTES = 2**31 - 1
_UNNAMED = re.compile(r"(keras_tensor|args|inputs|output|outputs|tensor)(_\d+)+$")


class ExportError(RuntimeError):
    """The export would not serve as the model predicts; nothing was published.

    Attributes:
        problems: one sentence each.
    """

    def __init__(self, problems: Sequence[str]):
        self.problems = list(problems)
        lines = "\n".join(f"- {problem}" for problem in problems)
        super().__init__(f"the export failed its checks and was not published:\n{lines}")


def check_graph(place: Path, max_graph_bytes: int = MAX_GRAPH_BYTES) -> Iterator[str]:
    """Problems of the graph as it lies on disk: its size, and ops that only XLA can run."""
    file = place / "saved_model.pb"
    size = file.stat().st_size
    if size > max_graph_bytes:
        yield (
            f"the graph has {size:,} bytes and the limit is {max_graph_bytes:,}: a table or "
            "vocabulary became a constant; it must be a variable or an asset"
        )
        return
    graph = read_saved_model(place).meta_graphs[0].graph_def
    forced = set()
    for function in graph.library.function:
        if function.attr["_XlaMustCompile"].b:
            forced.add(function.signature.name)
        forced.update(n.name for n in function.node_def if n.attr["_XlaMustCompile"].b)
    forced.update(n.name for n in graph.node if n.attr["_XlaMustCompile"].b)
    if forced:
        yield (
            "the graph has functions under jit_compile=True, which a server refuses unless "
            f"started with --xla_cpu_compilation_enabled: {sorted(forced)[:5]}. Build the model "
            "to be exported without jit_compile"
        )


def check_signatures(signatures: Mapping[str, Signature]) -> Iterator[str]:
    """Problems of names, batch dimensions and strings."""
    if "serving_default" not in signatures:
        yield "there is no signature 'serving_default', which a server needs"
    for key, signature in signatures.items():
        for way, tensors in (("input", signature.inputs), ("output", signature.outputs)):
            for name, info in tensors.items():
                who = f"{way} {name!r} of signature {key!r}"
                if _UNNAMED.match(name):
                    yield f"{who} has no name of its own"
                if info.shape is not None and info.shape[:1] != (None,):
                    yield f"{who} is {info}: its first dimension must be the batch, None"
                text = way == "output" and info.dtype == STRING and signature.method != CLASSIFY
                if text and not name.endswith("_bytes"):
                    yield f"{who} is a string: its name must end in '_bytes', or REST garbles it"


def check_answers(
    session: SavedModelSession,
    model: keras.Model,
    signatures: Signatures,
    rows: Mapping[str, np.ndarray],
    tolerance: float,
) -> Iterator[str]:
    """Runs every signature through the C++ loader and compares with the model itself."""
    for name in session.signatures:
        try:
            got, want = answer_and_truth(session, model, signatures, name, rows)
        except Exception as error:
            yield f"signature {name!r} fails on {count_rows(rows)} rows: {error}"
            continue
        for key, truth in want.items():
            if got[key].shape != truth.shape:
                yield f"{key!r} of signature {name!r}: shape {got[key].shape}, not {truth.shape}"
                continue
            gap = np.abs(got[key].astype(np.float64) - truth)
            # `not <=` and no `>`, so that NaN is a difference.
            if gap.size and not gap.max() <= tolerance:
                yield (
                    f"{key!r} of signature {name!r} differs from the model by up to "
                    f"{gap.max():.3g} on {count_rows(rows)} rows; tolerance={tolerance:g}"
                )


def answer_and_truth(
    session: SavedModelSession,
    model: keras.Model,
    signatures: Signatures,
    name: str,
    rows: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What the export answers through one signature, and what the model itself says."""
    tasks, kind = signatures.tasks, name.partition("_")[0]
    if kind in ("classify", "regress"):
        got = session.run(messages.example_column(messages.to_examples(rows)), name)
        scores = predict(model, rows, tasks)
        if kind == "classify":
            return got, {"scores": np.stack([scores[task] for task in tasks], axis=1)}
        return got, {"outputs": scores[name.partition("_")[2] or tasks[0]]}
    if name == "rank":
        user = {key: rows[key][:1].repeat(count_rows(rows), 0) for key in signatures.sides.user}
        got = session.run(warmup.one_user(rows, signatures.sides), name)
        return got, predict(model, {**rows, **user}, tasks)
    got = session.run(rows, name)
    if name == "embed":
        return got, {EMBEDDING: signatures.embeddings(model.features.encode(dict(rows))).numpy()}
    return got, predict(model, rows, tasks)


def predict(
    model: keras.Model, rows: Mapping[str, np.ndarray], tasks: Sequence[str]
) -> dict[str, np.ndarray]:
    """The model's own probabilities for raw rows, one float32 vector a task."""
    outputs = model(model.features.encode(dict(rows)), training=False)
    return {
        task: keras.ops.convert_to_numpy(outputs[task]).astype(np.float32).reshape(-1)
        for task in tasks
    }


def check_warmup(
    place: Path, session: SavedModelSession, largest: int | None, batching: bool
) -> Iterator[str]:
    """Replays the warm-up records: one that fails keeps a server from loading the version."""
    if not (place / warmup.FILE).exists():
        return
    count = 0
    try:
        for kind, name, columns in warmup.read_warmup(place):
            record = f"warm-up record {count} ({kind}, signature {name!r})"
            count += 1
            sizes = {len(column) for column in columns.values()}
            if largest is not None and max(sizes) > largest:
                yield f"{record} has {max(sizes)} rows, and a server batches at most {largest}"
            if batching and len(sizes) > 1:
                yield f"{record} mixes batch sizes {sorted(sizes)}, which a batching server refuses"
            try:
                session.run(columns, name)
            except Exception as error:
                yield f"{record} fails: {error}"
    except ValueError as error:
        yield str(error)
    if count > warmup.MAX_RECORDS:
        yield f"there are {count} warm-up records, and a server loads at most {warmup.MAX_RECORDS}"


def check_export(
    place: Path,
    model: keras.Model,
    signatures: Signatures,
    rows: Mapping[str, np.ndarray],
    tolerance: float,
    batch_sizes: Sequence[int] = (),
    batching: bool = False,
    max_graph_bytes: int = MAX_GRAPH_BYTES,
) -> dict[str, Signature]:
    """Every check on a directory that is about to be published.

    Returns:
        The signatures, as the C++ loader reads them.

    Raises:
        ExportError: naming every problem found.
    """
    problems = list(check_graph(place, max_graph_bytes))
    if problems:
        raise ExportError(problems)
    try:
        session = load_session(place)
    except Exception as error:
        raise ExportError([f"the export does not load: {error}"]) from error
    with session:
        problems += check_signatures(session.signatures)
        problems += check_answers(session, model, signatures, rows, tolerance)
        # One row of it, since a shape that happens to fit many rows may not fit one.
        problems += check_answers(session, model, signatures, take(rows, 1), tolerance)
        largest = max(batch_sizes) if batching and batch_sizes else None
        problems += check_warmup(place, session, largest, batching)
        if problems:
            raise ExportError(problems)
        return session.signatures


def read_saved_model(place: Path) -> saved_model_pb2.SavedModel:
    """The graph and signatures of a SavedModel, as messages."""
    message = saved_model_pb2.SavedModel()
    message.ParseFromString((place / "saved_model.pb").read_bytes())
    return message
