"""Commands on running servers: `promote` and `bench-serving`."""

from pathlib import Path
from typing import Annotated

import typer

import rankup_keras as rk
from rankup_keras.cli.failures import RunError
from rankup_keras.cli.output import Output
from rankup_keras.cli.startup import load_tensorflow

Token = Annotated[
    str | None, typer.Option(envvar="RANKUP_KERAS_TOKEN", help="What the server asks for.")
]


def promote(
    directory: Annotated[
        Path, typer.Argument(help="Where models.config is, written for the server.")
    ],
    label: Annotated[
        list[str],
        typer.Option(help="stable=4 moves a label, canary= takes it away; repeatable."),
    ],
    address: Annotated[
        list[str] | None, typer.Option(help="host:port of gRPC; repeatable.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Where models.config has several.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for a server.", min=0.1)] = 120.0,
    token: Token = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Move labels of a running server to other versions; a rollback is the same."""
    labels = dict(map(_label, label))
    load_tensorflow()
    before = rk.serving.promote(
        directory, labels, address or "localhost:8500", model, timeout, token=token
    )
    back = " ".join(f"--label {name}={before.get(name, '')}" for name in labels)
    Output(quiet, as_json).result(
        {"before": before, "changed": labels},
        f"Done. Back with: rankup-keras promote {directory} {back}",
    )


def _label(text: str) -> tuple[str, int | None]:
    name, equals, version = text.partition("=")
    if not name or not equals or not (version == "" or version.isdecimal()):
        raise RunError(f"`--label` must be <label>=<version>, or <label>=. Received: {text!r}")
    return name, int(version) if version else None


def bench_serving(
    address: Annotated[str, typer.Argument(help="host:port of the server's gRPC.")],
    model: Annotated[str, typer.Option(help="The name that the model is served under.")],
    signature: Annotated[
        list[str] | None, typer.Option(help="Repeatable. Default: all of them.")
    ] = None,
    requests: Annotated[int, typer.Option(help="Requests of each signature.", min=1)] = 1000,
    clients: Annotated[int, typer.Option(help="At a time, at most.", min=1)] = 8,
    rate: Annotated[
        float | None,
        typer.Option(help="Arrivals per second, whatever the answers take. Default: as fast."),
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows or candidates of a request.", min=1)] = 10,
    export: Annotated[
        Path | None, typer.Option(help="Send this version's warm-up records.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Of the version to ask for.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds of a request.", min=0.001)] = 5.0,
    token: Token = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Latency and refusals of a server under load, by signature."""
    load_tensorflow()
    found = rk.serving.load_test(
        address, model, signature, requests, clients, rate, rows, export,
        label=label, timeout=timeout, token=token,
    )  # fmt: skip
    shown = [
        {**row, "refused": ", ".join(f"{n:,} {code}" for code, n in row["refused"].items()) or "0"}
        for row in found
    ]
    Output(quiet, as_json).result({"signatures": found}, rows=shown)
