"""The client for programs that wait in an event loop."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.serving.client import messages
from rankup_keras.serving.client.channels import open_channel
from rankup_keras.serving.client.conversation import Attempt, Conversation, Result, Steps
from rankup_keras.serving.exporting.session import Signature


class AsyncClient(Conversation):
    """`Client` over `grpc.aio`: the same arguments, checks and retries, methods to be awaited.

    It is used within one event loop. Columns are converted in the loop's own thread, which takes
    a fraction of a millisecond for a few hundred rows.

    Args:
        address: and all further arguments: see `Client`.

    Example:

    ```python
    import asyncio
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=9)])
    rk.export(rk.RankMixer(features, ["click"], token_dim=8), "saved_models/ranker")

    async def score(address):
        async with rk.serving.AsyncClient(address, model="ranker", timeout=30) as client:
            calls = [client.predict({"item": [item]}) for item in ("i1", "i2", "i3")]
            return await asyncio.gather(*calls)

    with rk.serving.DevelopmentServer("saved_models/ranker", port=0) as server:
        answers = asyncio.run(score(server.address))
    assert [answer["click"].shape for answer in answers] == [(1,)] * 3
    ```

    Raises:
        ImportError, ServingError, ValueError, TypeError: as `Client` does.
    """

    async def predict(
        self,
        rows: Any,
        signature: str = "serving_default",
        outputs: Sequence[str] = (),
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Scores full rows, as `Client.predict` does."""
        return await self._run(self._steps_of_predict(rows, signature, outputs, timeout))

    async def rank(
        self,
        user: Mapping[str, Any],
        candidates: Any,
        outputs: Sequence[str] = (),
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Scores many candidates for one user, as `Client.rank` does."""
        return await self._run(self._steps_of_rank(user, candidates, outputs, timeout))

    async def embed(self, rows: Any, timeout: float | None = None) -> np.ndarray:
        """The pooled representation of every row, float32 (rows, width)."""
        return (await self.predict(rows, "embed", timeout=timeout))["embedding"]

    async def classify(self, rows: Any, timeout: float | None = None) -> list[dict[str, float]]:
        """Task to probability for every row, through the Classify call over `tf.Example`s."""
        steps = self._steps_of_examples("Classify", rows, "classify", timeout)
        return messages.read_classes(await self._run(steps))

    async def regress(
        self, rows: Any, signature: str = "regress", timeout: float | None = None
    ) -> np.ndarray:
        """The first task's probability for every row, through the Regress call."""
        steps = self._steps_of_examples("Regress", rows, signature, timeout)
        return messages.read_values(await self._run(steps))

    async def spec(self, signature: str, timeout: float | None = None) -> dict[str, tf.TensorSpec]:
        """The columns of a signature, as the server reports them."""
        return await self._run(self._steps_of_spec(signature, timeout))

    async def signatures(self, timeout: float | None = None) -> dict[str, Signature]:
        """The signatures that the model has now: inputs, outputs and method by name."""
        return await self._run(self._steps_of_signatures(timeout))

    async def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels:
            await channel.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    async def _run(self, steps: Steps[Result]) -> Result:
        import grpc

        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._take(step)
                except grpc.RpcError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return end.value

    async def _take(self, step: Attempt | float) -> Any:
        if not isinstance(step, Attempt):
            return await asyncio.sleep(step)
        method = getattr(self._stub(step.place), step.method)
        return await method(step.request, timeout=step.timeout, metadata=self._metadata)

    def _stub(self, place: int) -> Any:
        # A channel of `grpc.aio` belongs to the loop in which it is made.
        if place not in self._stubs:
            import grpc.aio

            channel = open_channel(self.addresses[place], self._credentials, grpc.aio)
            self._channels.append(channel)
            self._stubs[place] = self._service.PredictionServiceStub(channel)
        return self._stubs[place]
