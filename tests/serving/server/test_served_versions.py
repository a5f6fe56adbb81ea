import gc
import shutil

import pytest
import tensorflow as tf

from rankup_keras.serving import Client, DevelopmentServer, ServingError, export
from rankup_keras.serving.server.served_versions import ServedVersions
from tests.serving import stand_in

FEW = {"signatures": ["serving_default"]}


@pytest.fixture
def base(tmp_path):
    export(stand_in.make_small(), tmp_path / "m", **FEW)
    return tmp_path / "m"


def test_a_version_that_failed_is_tried_again_when_it_changes(base):
    """A slow copy: seen before it is complete."""
    (base / "2").mkdir()
    with DevelopmentServer(base, port=0) as server:
        assert server.version == 1
        assert "saved_model.pb" in server.failed[2]
        shutil.copy(base / "1" / "saved_model.pb", base / "2")
        server.refresh()
        assert (server.version, list(server.failed)) == (1, [2])
        tries = server.failed[2]
        server.refresh()
        assert server.failed[2] is tries, "an unchanged version is not tried again"
        shutil.copytree(base / "1", base / "2", dirs_exist_ok=True)
        server.refresh()
        assert (server.version, server.failed) == (2, {})
        (base / "3").mkdir()
        server.refresh()
        assert list(server.failed) == [3]
        (base / "3").rmdir()
        server.refresh()
        assert (server.version, server.failed) == (2, {})


def test_folders_that_are_no_version_are_ignored(base):
    for name in ("9223372036854775808", "9" * 200, "-1", "2.5", "next"):
        (base / name).mkdir()
    with (
        DevelopmentServer(base, port=0) as server,
        Client(server.address, "m", timeout=30) as client,
    ):
        assert (server.version, server.failed) == (1, {})
        assert client.predict(stand_in.small_rows(2))["click"].shape == (2,)


def graphs():
    return sum(type(item) is tf.Graph for item in gc.get_objects())


def test_a_dropped_version_is_freed(base):
    """Its session and graph refer to each other, so that swaps took 8 MB each for a while."""
    with DevelopmentServer(base, port=0) as server:
        before = graphs()
        for version in (2, 3):
            shutil.copytree(base / "1", base / str(version))
            server.refresh()
        assert server.version == 3
        assert graphs() <= before


def test_labelled_versions_and_no_others(base):
    for _ in range(2):
        shutil.copytree(base / "1", base / str(len(list(base.iterdir())) + 1))
    with DevelopmentServer(base, port=0, labels={"stable": 1, "canary": 2}) as server:
        assert server.version == 2
        for asked, code in (
            ({"label": "stable"}, None),
            ({"label": "canary"}, None),
            ({"version": 1}, None),
            ({}, None),
            ({"version": 3}, "NOT_FOUND"),
            ({"label": "newest"}, "INVALID_ARGUMENT"),
        ):
            with Client(server.address, "m", timeout=30, **asked) as client:
                if code is None:
                    client.predict(stand_in.small_rows(1))
                    continue
                with pytest.raises(ServingError) as caught:
                    client.predict(stand_in.small_rows(1))
                assert caught.value.code == code


def test_nothing_is_served_of_an_empty_folder(tmp_path):
    versions = ServedVersions(tmp_path, "m")
    versions.refresh()
    assert versions.newest is None
    assert versions.states() == {}
