"""The graph of a Functional model, call by call.

Why private: Keras tells the layers of a model (`model.layers`, `model.operations`) and the output
of a layer's first call (`layer.output`), but neither which call made a tensor nor from what;
`clone_model(call_function=...)` visits the calls only by making them again. Read in Keras 3.15.1.
A public history of a `KerasTensor` would let this go.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple


class Call(NamedTuple):
    """One call of an operation (a layer or an op of `keras.ops`) in a graph.

    Attributes:
        operation: What was called.
        number: Which call of it this is, counted over all graphs.
        inputs: `KerasTensor`s that went in.
        outputs: `KerasTensor`s that came out.
    """

    operation: Any
    number: int
    inputs: Sequence[Any]
    outputs: Sequence[Any]


def call_of(tensor: Any) -> Call:
    """The call that made a `KerasTensor`."""
    operation, number, _ = tensor._keras_history
    node = operation._inbound_nodes[number]
    return Call(operation, number, node.input_tensors, node.output_tensors)


def calls(outputs: Sequence[Any], without: str | None = None) -> Iterator[Call]:
    """Every call that leads to `outputs`, on paths that go around the operation `without`."""
    waiting, seen = list(outputs), set()
    while waiting:
        call = call_of(waiting.pop())
        key = id(call.operation), call.number
        if call.operation.name == without or key in seen:
            continue
        seen.add(key)
        waiting.extend(call.inputs)
        yield call
