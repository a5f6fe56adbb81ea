"""The check before the rename: it finds what a server would refuse or get wrong."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.serving.exporting import warmup
from rankup_keras.serving.exporting.description import COMPARED_ROWS, ExportDescription
from rankup_keras.serving.exporting.sample_rows import Rows, count_rows, take
from rankup_keras.serving.exporting.session import (
    SavedModelSession,
    Signature,
    describe_tensor,
    load_session,
)
from rankup_keras.serving.exporting.signatures import (
    EMBEDDING,
    pooled_model,
    request_columns,
    request_kind,
)
from rankup_keras.serving.exporting.writing import read_saved_model

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


@dataclasses.dataclass(frozen=True)
class CheckedExport:
    """What was found in a directory that passed: its signatures, its number of warm-up records."""

    signatures: dict[str, Signature]
    warmup_records: int


def check_export(place: Path, described: ExportDescription) -> CheckedExport:
    """Every check on a directory that is about to be published.

    Raises:
        ExportError: naming every problem found.
    """
    problems = list(graph_problems(place))
    if problems:
        raise ExportError(problems)
    try:
        session = load_session(place)
    except Exception as error:
        raise ExportError([f"the export does not load: {error}"]) from error
    with session:
        problems += signature_problems(session.signatures)
        compared = min(count_rows(described.rows), COMPARED_ROWS)
        # One row too, since a shape that happens to fit many rows may not fit one.
        for count in (compared, 1):
            problems += score_problems(session, described, take(described.rows, count))
        largest = max(described.batch_sizes) if described.batching else None
        count, found = check_warmup(place, session, largest)
        if problems + found:
            raise ExportError(problems + found)
        return CheckedExport(session.signatures, count)


def graph_problems(place: Path, max_graph_bytes: int = MAX_GRAPH_BYTES) -> Iterator[str]:
    """Problems of the graph as it is on disk: its size, and ops that only XLA can run."""
    size = (place / "saved_model.pb").stat().st_size
    if size > max_graph_bytes:
        yield (
            f"the graph has {size:,} bytes and the limit is {max_graph_bytes:,}: a table or "
            "vocabulary became a constant; it must be a variable or an asset"
        )
        return
    graph = read_saved_model(place).meta_graphs[0].graph_def
    functions = graph.library.function
    forced = {f.signature.name for f in functions if f.attr["_XlaMustCompile"].b}
    own: set[str] = set()
    for nodes in (graph.node, *(function.node_def for function in functions)):
        forced.update(node.name for node in nodes if node.attr["_XlaMustCompile"].b)
        # On other devices than XLA's their kernels compile them, one by one.
        own.update(node.op for node in nodes if node.op.startswith("Xla"))
    if own:
        yield (
            "the graph has ops that XLA compiles, which a server refuses unless started with "
            f"--xla_cpu_compilation_enabled: {sorted(own)[:5]}. Build the model to be exported "
            "without them"
        )
    if forced:
        yield (
            "the graph has functions under jit_compile=True, which a server refuses unless "
            f"started with --xla_cpu_compilation_enabled: {sorted(forced)[:5]}. Build the model "
            "to be exported without jit_compile"
        )


def signature_problems(signatures: Mapping[str, Signature]) -> Iterator[str]:
    """Problems of names, batch dimensions and strings."""
    if "serving_default" not in signatures:
        yield "there is no signature 'serving_default', which a server needs"
    for key, signature in signatures.items():
        for way, specs in (("input", signature.inputs), ("output", signature.outputs)):
            for name, spec in specs.items():
                who = f"{way} {name!r} of signature {key!r}"
                if _UNNAMED.match(name):
                    yield f"{who} has no name of its own"
                # `rank` says of the user's columns that they have one row.
                first = ([None], [1]) if (way, key) == ("input", "rank") else ([None],)
                if spec.shape.rank is not None and spec.shape[:1].as_list() not in first:
                    shape = describe_tensor(spec)
                    yield f"{who} is {shape}: its first dimension must be the batch, None"
                text = way == "output" and spec.dtype == tf.string
                if text and request_kind(key) != "classify" and not name.endswith("_bytes"):
                    yield f"{who} is a string: its name must end in '_bytes', or REST garbles it"


def score_problems(
    session: SavedModelSession, described: ExportDescription, rows: Rows
) -> Iterator[str]:
    """Runs every signature on some rows and compares it with the model itself."""
    # Where the session runs: a GPU rounds the factors of float32 products to TF32, and a tolerance
    # for that would let wrong graphs pass.
    with tf.device("/cpu:0"):
        expected = expected_outputs(described, rows)
    for name in session.signatures:
        who = f"signature {name!r}"
        try:
            got = session.run(request_columns(name, rows, described.inputs), name)
        except Exception as error:
            yield f"{who} fails on {count_rows(rows)} rows: {error}"
            continue
        for key, want in expected[name].items():
            if got[key].shape != want.shape:
                yield f"{key!r} of {who}: shape {got[key].shape}, not {want.shape}"
                continue
            gap = np.abs(got[key].astype(np.float64) - want)
            # Float32 has as many digits of a large embedding as of a probability.
            gap /= max(1.0, np.abs(want).max(initial=0.0))
            # `not <=` rather than `>`, so that NaN is a difference.
            if gap.size and not gap.max() <= described.tolerance:
                yield (
                    f"{key!r} of {who} differs from the model by up to {gap.max():.3g} on "
                    f"{count_rows(rows)} rows; tolerance={described.tolerance:g}"
                )


def expected_outputs(described: ExportDescription, rows: Rows) -> dict[str, dict[str, np.ndarray]]:
    """Signature name to what the model itself, outside of any export, computes for the rows."""
    tasks, model = described.tasks, described.model
    outputs = {}
    scores = predictions(model, rows, tasks)
    for name in described.signatures:
        if name == "rank":
            full = described.inputs.user_repeated(rows)
            outputs[name] = predictions(model, full, tasks)
        elif name == "embed":
            pooled = pooled_model(model, described.pooled)
            vectors = pooled(model.features.encode(rows), training=False)
            vectors = keras.ops.convert_to_numpy(keras.ops.cast(vectors, "float32"))
            outputs[name] = {EMBEDDING: vectors.reshape(count_rows(rows), -1)}
        elif request_kind(name) == "classify":
            outputs[name] = {"scores": np.stack([scores[task] for task in tasks], axis=1)}
        elif request_kind(name) == "regress":
            outputs[name] = {"outputs": scores[name.partition("_")[2] or tasks[0]]}
        else:
            outputs[name] = scores
    return outputs


def predictions(model: keras.Model, rows: Rows, tasks: Sequence[str]) -> dict[str, np.ndarray]:
    """The model's own probabilities for raw rows, one float32 vector per task."""
    outputs = model(model.features.encode(rows), training=False)
    return {
        task: keras.ops.convert_to_numpy(outputs[task]).astype(np.float32).reshape(-1)
        for task in tasks
    }


def check_warmup(
    place: Path, session: SavedModelSession, largest: int | None
) -> tuple[int, list[str]]:
    """Replays the warm-up records: one that fails keeps a server from loading the version.

    Args:
        place: the version directory.
        session: what it holds, loaded.
        largest: the largest batch of a server that batches, or `None` for one that does not.

    Returns:
        The number of records, and the problems.
    """
    problems: list[str] = []
    count = 0
    if not (place / warmup.FILE).exists():
        return count, problems
    try:
        for kind, name, columns in warmup.read_warmup(place):
            record = f"warm-up record {count} ({kind}, signature {name!r})"
            count += 1
            sizes = sorted({len(column) for column in columns.values()})
            if largest is not None and sizes[-1] > largest:
                problems.append(
                    f"{record} has {sizes[-1]} rows, and a server batches at most {largest}"
                )
            if largest is not None and len(sizes) > 1:
                problems.append(
                    f"{record} mixes batch sizes {sizes}, which a batching server refuses"
                )
            try:
                session.run(columns, name)
            except Exception as error:
                problems.append(f"{record} fails: {error}")
    except ValueError as error:
        problems.append(str(error))
    if count > warmup.MAX_RECORDS:
        limit = f"a server loads at most {warmup.MAX_RECORDS}"
        problems.append(f"there are {count} warm-up records, and {limit}")
    return count, problems
