"""The commands on running servers, against the development server."""

import json
import shutil

import pytest

from rankup_keras.cli import main
from rankup_keras.serving import DevelopmentServer, ServerConfig, export
from tests.serving import stand_in


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "m"
    export(stand_in.make_small(), path, signatures=["serving_default", "rank", "classify"])
    shutil.copytree(path / "1", path / "2")
    return path


def test_promote_and_the_way_back(base, tmp_path, capfd):
    labels = {"stable": 1}
    place = str(ServerConfig(base, labels=labels).write(tmp_path / "serving"))
    with DevelopmentServer(base, port=0, labels=labels, poll_seconds=0.05) as server:
        there = ["promote", place, "--address", server.address]
        assert main([*there, "--label", "stable=2", "--label", "canary=1"]) == 0
        assert f"promote {place} --label stable=1 --label canary=" in capfd.readouterr().out
        assert main([*there, "--label", "stable=1", "--label", "canary=", "--json"]) == 0
        told = json.loads(capfd.readouterr().out)
        assert told["before"] == {"stable": 2, "canary": 1}
        for wrong, words in (("stable", "<label>=<version>"), ("stable=9", "does not load")):
            assert main([*there, "--label", wrong]) == 4
            assert words in capfd.readouterr().err
        assert server.version == 1
    assert main(["promote", str(tmp_path / "absent"), "--label", "stable=1"]) == 4


def test_bench_serving(base, capfd):
    with DevelopmentServer(base, port=0) as server:
        command = ["bench-serving", server.address, "--requests", "12", "--clients", "2"]
        assert main([*command, "--model", "m", "--json"]) == 0
        found = json.loads(capfd.readouterr().out)["signatures"]
        assert {row["signature"]: row["answered"] for row in found} == {
            "classify": 12,
            "rank": 12,
            "serving_default": 12,
        }
        assert main([*command, "--model", "m", "--rate", "500", "--signature", "rank"]) == 0
        assert "p999_ms" in capfd.readouterr().out
        assert main([*command, "--model", "nobody"]) == 4
        assert "NOT_FOUND" in capfd.readouterr().err
