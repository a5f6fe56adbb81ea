"""What a client tells of a call."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class CallRecord:
    """One call as its caller saw it, for metrics: `Client(on_call=...)` is given it.

    Attributes:
        method: `"Predict"`, `"Classify"`, `"Regress"` or `"GetModelMetadata"`.
        signature: the signature's name.
        address: the server that answered, or was asked last.
        seconds: how long it took, retries included.
        retries: attempts after the first.
        code: `"OK"`, or gRPC's status.

    Example:

    ```python
    import rankup_keras as rk

    def show(call: rk.serving.CallRecord) -> None:
        print(f"{call.signature} {call.code} {call.seconds * 1e3:.1f} ms, {call.retries} retries")

    client = rk.serving.Client("localhost:8500", model="ranker", on_call=show)
    client.close()
    ```
    """

    method: str
    signature: str
    address: str
    seconds: float
    retries: int
    code: str
