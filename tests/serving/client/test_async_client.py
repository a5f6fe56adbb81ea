import asyncio
import inspect
import time

import numpy as np
import pytest

from rankup_keras.serving import AsyncClient, Client, ServingError
from tests.serving import stand_in


def test_the_interface_is_the_same():
    def methods(cls):
        return {
            name: str(inspect.signature(value).replace(return_annotation=None))
            for name, value in vars(cls).items()
            if inspect.isfunction(value) and not name.startswith("_")
        }

    assert methods(AsyncClient) == methods(Client)
    assert inspect.signature(AsyncClient) == inspect.signature(Client)


def test_calls_in_an_event_loop(model, strict):
    """Many at a time, beyond the server's threads, and through an outage."""
    rows = [stand_in.make_rows(3, seed=seed) for seed in range(20)]
    strict.seconds = 0.01

    async def outage():
        strict.stop()
        await asyncio.sleep(0.5)
        strict.start()

    async def ask():
        async with AsyncClient(strict.address, "ranker", timeout=30) as client:
            first = await asyncio.gather(*map(client.predict, rows))
            _, second = await asyncio.gather(outage(), client.classify(rows[0]))
            strict.stop()
            start = time.monotonic()
            with pytest.raises(ServingError, match="UNAVAILABLE"):
                await client.regress(rows[0], timeout=0.6)
            assert abs(time.monotonic() - start - 0.6) < 0.2
            return first, second

    strict.start()
    first, second = asyncio.run(ask())
    for answer, each in zip(first, rows, strict=True):
        np.testing.assert_allclose(
            answer["click"], stand_in.predict(model, each)["click"], atol=1e-6
        )
    np.testing.assert_allclose([row["click"] for row in second], first[0]["click"], atol=1e-6)


def test_rank_and_embed(development):
    rows = stand_in.make_rows(4)
    once = stand_in.candidates_of(rows)
    user = {name: value for name, value in once.items() if len(value) == 1}
    candidates = {name: value for name, value in rows.items() if name not in user}

    async def ask():
        async with AsyncClient(development.address, "ranker", timeout=30) as client:
            assert (await client.spec("rank"))["age"].shape == (1,)
            assert "embed" in await client.signatures()
            return await asyncio.gather(client.rank(user, candidates), client.embed(rows))

    ranked, embedded = asyncio.run(ask())
    with Client(development.address, "ranker", timeout=30) as client:
        np.testing.assert_array_equal(ranked["buy"], client.rank(user, candidates)["buy"])
        np.testing.assert_array_equal(embedded, client.embed(rows))
