"""A client for `tensorflow_model_server`, and for anything else that speaks its API."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.serving.client import messages
from rankup_keras.serving.client.channels import open_channel
from rankup_keras.serving.client.conversation import Attempt, Conversation, Result, Steps
from rankup_keras.serving.exporting.session import Signature


class Client(Conversation):
    """Scores rows on a server, from columns as Python has them.

    Columns are checked against the signature that the server itself reports, before anything is
    sent, so an error names the column rather than a node of a graph. The signature is asked for
    again when a call does not fit it, since a new version may have other columns. A request
    without rows is answered without asking. Threads may share a client.

    A call that a server refuses because it is away (UNAVAILABLE) or has no thread left is tried
    again, after pauses of 0.02 to 0.5 seconds, as long as its timeout has room; a server that
    comes back is reached within a second. No other error is tried again.

    Args:
        address: `host:port` of the server's gRPC, or a list of them, which take turns; one that
            fails is passed over for a moment. A name with several IP addresses, such as
            `dns:///ranker:8500` of a headless service, is spread over them too. Defaults to
            `"localhost:8500"`.
        model: the name that the model is served under.
        version: the version to ask for. Defaults to the newest that is served.
        label: the label to ask for instead, e.g. `"stable"`. Without either, a call goes to the
            newest version, which is the canary where there is one.
        timeout: seconds that a call may take, retries included. Defaults to 5.
        retries: attempts after the first, at most. Defaults to as many as the timeout has room
            for.
        widths: width that lists are padded to, by column. A server that batches joins only
            requests of equal width; the model card has it as `max_length`. Defaults to the longest
            list of the request.
        credentials: `grpc.ChannelCredentials` for TLS. Defaults to none.
        token: sent as `authorization: Bearer <token>`, to a proxy or `DevelopmentServer` that
            asks for one. Defaults to none.
        on_call: is given a `CallRecord` at the end of every call: latency, retries, status.
            Defaults to nothing.

    Example:

    ```python
    import rankup_keras as rk

    user = rk.Categorical("user", hash_buckets=9, side="user")
    features = rk.FeatureSet([user, rk.Categorical("item", hash_buckets=9)])
    rk.export(rk.RankMixer(features, ["click"], token_dim=8), "saved_models/ranker")
    with rk.serving.DevelopmentServer("saved_models/ranker", port=0) as server:
        with rk.serving.Client(server.address, model="ranker", timeout=30) as client:
            full = client.predict({"user": ["u1", "u1"], "item": ["i7", "i9"]})
            ranked = client.rank(user={"user": "u1"}, candidates={"item": ["i7", "i9"]})
    assert abs(full["click"] - ranked["click"]).max() < 1e-6
    ```

    Raises:
        ImportError: tensorflow-serving-api is not installed (extra `[serving]`).
        ServingError: the server refused, or could not be reached in time.
        ValueError: an argument is wrong; a column is missing, unknown or of the wrong shape.
        TypeError: a column has the wrong type.
    """

    def predict(
        self,
        rows: Any,
        signature: str = "serving_default",
        outputs: Sequence[str] = (),
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Scores full rows.

        Args:
            rows: a dict of columns or a pandas frame; columns that the signature does not have
                are an error, in a frame they are left out.
            signature: the signature's name. Defaults to `"serving_default"`.
            outputs: the outputs wanted. The server computes all of them, since warm-up covers
                that graph alone. Defaults to all.
            timeout: seconds. Defaults to the client's.

        Returns:
            Output name to array, one entry per row.
        """
        return self._run(self._steps_of_predict(rows, signature, outputs, timeout))

    def rank(
        self,
        user: Mapping[str, Any],
        candidates: Any,
        outputs: Sequence[str] = (),
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Scores many candidates for one user, whose columns are sent once.

        Where the model has no signature `rank`, as in exports for servers that batch, the user's
        columns are repeated and sent to `serving_default`.

        Args:
            user: the user's columns: the values themselves, or lists of one row.
            candidates: a dict of columns or a pandas frame, one row per candidate; unknown columns
                are treated as in `predict`.
            outputs: the tasks wanted. Defaults to all.
            timeout: seconds. Defaults to the client's.

        Returns:
            Task to probabilities, in the order of the candidates.
        """
        return self._run(self._steps_of_rank(user, candidates, outputs, timeout))

    def embed(self, rows: Any, timeout: float | None = None) -> np.ndarray:
        """The pooled representation of every row, float32 (rows, width)."""
        return self.predict(rows, "embed", timeout=timeout)["embedding"]

    def classify(self, rows: Any, timeout: float | None = None) -> list[dict[str, float]]:
        """Task to probability for every row, through the Classify call over `tf.Example`s."""
        steps = self._steps_of_examples("Classify", rows, "classify", timeout)
        return messages.read_classes(self._run(steps))

    def regress(
        self, rows: Any, signature: str = "regress", timeout: float | None = None
    ) -> np.ndarray:
        """The first task's probability for every row, through the Regress call."""
        steps = self._steps_of_examples("Regress", rows, signature, timeout)
        return messages.read_values(self._run(steps))

    def spec(self, signature: str, timeout: float | None = None) -> dict[str, tf.TensorSpec]:
        """The columns of a signature, as the server reports them."""
        return self._run(self._steps_of_spec(signature, timeout))

    def signatures(self, timeout: float | None = None) -> dict[str, Signature]:
        """The signatures that the model has now: inputs, outputs and method by name."""
        return self._run(self._steps_of_signatures(timeout))

    def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _run(self, steps: Steps[Result]) -> Result:
        import grpc

        try:
            step = next(steps)
            while True:
                try:
                    answer = self._take(step)
                except grpc.RpcError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return end.value

    def _take(self, step: Attempt | float) -> Any:
        if not isinstance(step, Attempt):
            return time.sleep(step)
        method = getattr(self._stub(step.place), step.method)
        return method(step.request, timeout=step.timeout, metadata=self._metadata)

    def _stub(self, place: int) -> Any:
        # Two threads may both make one at first: then one of them is not used, and closed with
        # the client.
        if place not in self._stubs:
            channel = open_channel(self.addresses[place], self._credentials)
            self._channels.append(channel)
            self._stubs[place] = self._service.PredictionServiceStub(channel)
        return self._stubs[place]
