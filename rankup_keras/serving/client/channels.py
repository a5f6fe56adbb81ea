"""Connections to servers: their options, and which of several servers a call goes to."""

import importlib
import itertools
import json
import time
from collections.abc import Sequence
from typing import Any

# gRPC's own limit of 4 MB is less than the embeddings of a few thousand rows.
MAX_MESSAGE_BYTES = 256 * 2**20
MESSAGE_LIMITS = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
]
_OPTIONS = [
    *MESSAGE_LIMITS,
    # The client's own retries know the deadline of the whole call.
    ("grpc.enable_retries", 0),
    # gRPC waits up to two minutes before it connects again, so that a client went on failing for
    # 24 s after its server was back. Attempts to connect are given up after a second, too.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Clients of one process, each with a connection of its own as clients elsewhere have.
    ("grpc.use_local_subchannel_pool", 1),
    # Over all the addresses that one name has, such as those of a headless service.
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
]


def open_channel(address: str, credentials: Any = None, module: Any = None) -> Any:
    """A channel to one address, with the package's options.

    Args:
        address: `host:port`, or another target of gRPC such as `dns:///ranker:8500`.
        credentials: `grpc.ChannelCredentials` for TLS. Defaults to none.
        module: what makes it: `grpc.aio` for an event loop. Defaults to `grpc`.
    """
    module = module or importlib.import_module("grpc")
    if credentials is None:
        return module.insecure_channel(address, _OPTIONS)
    return module.secure_channel(address, credentials, _OPTIONS)


def token_metadata(token: str | None) -> list[tuple[str, str]]:
    """What a call carries to show a server its token."""
    return [] if token is None else [("authorization", f"Bearer {token}")]


class AddressPool:
    """Takes turns over addresses, and passes over those that failed a moment ago.

    Args:
        addresses: `host:port` of servers of the same models.
    """

    def __init__(self, addresses: Sequence[str]):
        self.addresses = list(addresses)
        self._down_until = [0.0] * len(self.addresses)
        self._turn = itertools.count()

    def choose(self) -> int:
        """The position of the next address that is up, else of the one to be tried soonest."""
        now, count = time.monotonic(), len(self.addresses)
        first = next(self._turn)
        turns = [(first + step) % count for step in range(count)]
        up = [place for place in turns if self._down_until[place] <= now]
        return up[0] if up else min(turns, key=self._down_until.__getitem__)

    def failed(self, place: int, seconds: float) -> None:
        """Passes over an address for some seconds."""
        self._down_until[place] = time.monotonic() + seconds

    def worked(self, place: int) -> None:
        """Takes an address back among those that are up."""
        self._down_until[place] = 0.0

    def health(self) -> dict[str, bool]:
        """Address to whether calls go to it."""
        now = time.monotonic()
        return {
            address: until <= now
            for address, until in zip(self.addresses, self._down_until, strict=True)
        }
