import json
import re
import shlex

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from rankup_keras.serving import ServerConfig
from rankup_keras.serving.exporting import warmup


def card_only(base, version, batching=False, batch_sizes=(1, 8, 32)):
    place = base / str(version)
    place.mkdir(parents=True)
    (place / "model.json").write_text(
        json.dumps({"batching": batching, "batch_sizes": list(batch_sizes)})
    )
    return base


def parse(text):
    message = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(text, message)
    (model,) = message.model_config_list.config
    return model


def test_one_model_without_batching(exported, tmp_path):
    config = ServerConfig(exported.parent)
    place = config.write(tmp_path / "serving")
    assert sorted(p.name for p in place.iterdir()) == [
        "docker-compose.yml",
        "kubernetes.yaml",
        "models.config",
        "monitoring.config",
        "serve.sh",
    ]
    model = parse((place / "models.config").read_text())
    assert model.name == "ranker"
    assert model.base_path == str(exported.parent)
    assert model.model_platform == "tensorflow"
    assert not model.HasField("model_version_policy")
    command = shlex.split(config.command_line(place))
    assert command[0] == "tensorflow_model_server"
    assert f"--model_config_file={place / 'models.config'}" in command
    assert f"--monitoring_config_file={place / 'monitoring.config'}" in command
    assert not any("batching" in flag or "label" in flag for flag in command)
    assert (place / "monitoring.config").read_text() == (
        'prometheus_config {\n  enable: true\n  path: "/monitoring/prometheus/metrics"\n}\n'
    )


def test_the_script_runs_the_command(exported, tmp_path):
    import subprocess

    binary = tmp_path / "bin" / "tensorflow_model_server"
    binary.parent.mkdir()
    binary.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    binary.chmod(0o755)
    config = ServerConfig(exported.parent)
    place = config.write(tmp_path / "a directory with spaces")
    printed = subprocess.run(
        [place / "serve.sh"],
        env={"PATH": f"{binary.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout
    assert printed.splitlines() == config.arguments(place)
    assert "every interface" in (place / "serve.sh").read_text()


def test_the_container_is_reached_from_here_alone_and_sees_the_same_paths(exported, tmp_path):
    config = ServerConfig(exported.parent, grpc_port=9000, rest_port=9001)
    text = config.files(tmp_path)["docker-compose.yml"]
    service = yaml.safe_load(text)["services"]["ranker"]
    assert service["ports"] == ["127.0.0.1:9000:9000", "127.0.0.1:9001:9001"]
    assert service["volumes"] == [
        f"{exported.parent}:{exported.parent}:ro",
        f"{tmp_path}:{tmp_path}:ro",
    ]
    assert service["command"] == config.arguments(tmp_path)


def flags(config):
    return dict(flag.removeprefix("--").split("=") for flag in config.arguments("x") if "=" in flag)


def test_threads_and_waits_follow_from_the_traffic(exported, tmp_path):
    """A server refuses calls beyond its threads, four a core by default."""
    few = flags(ServerConfig(exported.parent, clients=4, cores=8))
    assert (few["grpc_max_threads"], few["rest_api_num_threads"]) == ("32", "32")
    many = flags(ServerConfig(exported.parent, clients=100, cores=2))
    assert (many["grpc_max_threads"], many["rest_api_num_threads"]) == ("200", "100")
    # Two broken versions held both load threads for a minute.
    assert int(many["max_num_load_retries"]) * int(many["load_retry_interval_micros"]) < 5e6
    base = card_only(tmp_path / "m", 1, batching=True)
    text = ServerConfig(base, latency_ms=8, clients=5).files(tmp_path)["batching.config"]
    assert "batch_timeout_micros { value: 800 }" in text
    assert "max_enqueued_batches { value: 5 }" in text
    with pytest.raises(ValueError, match="`clients` must be positive"):
        ServerConfig(exported.parent, clients=0)


def test_memory_is_for_one_version_more_than_is_served(tmp_path):
    base = card_only(tmp_path / "m", 1)
    card_only(base, 2)
    (base / "2" / "variables").write_bytes(b"x" * 10 * 2**20)
    one = ServerConfig(base).memory_bytes - ServerConfig(base, labels={"stable": 1}).memory_bytes
    assert one == pytest.approx(20 * 2**20, rel=0.01)
    two = ServerConfig(base, labels={"stable": 1, "canary": 2})
    assert two.memory_bytes == pytest.approx(512 * 2**20 + 30 * 2**20, rel=0.01)
    assert 'mem_reservation: "543m"' in two.files(tmp_path)["docker-compose.yml"]


def test_every_flag_has_its_reason(exported, tmp_path):
    config = ServerConfig(exported.parent, labels={"stable": 1})
    for name, flag in (
        ("serve.sh", r"^set -- .*--"),
        ("docker-compose.yml", r"^ *- \"--"),
        ("kubernetes.yaml", r"^ *- \"--"),
    ):
        lines = config.files(tmp_path)[name].splitlines()
        found = [index for index, line in enumerate(lines) if re.match(flag, line)]
        assert len(found) == len(config.arguments(tmp_path))
        assert all(re.match(r" *# \w", lines[index - 1]) for index in found)


def test_batching_is_what_was_warmed_up(tmp_path):
    base = card_only(tmp_path / "m", 1, batching=True)
    config = ServerConfig(base, num_batch_threads=3, clients=7)
    text = config.files(tmp_path)["batching.config"]
    assert "max_batch_size { value: 32 }" in text
    assert re.findall(r"allowed_batch_sizes: (\d+)", text) == ["1", "8", "32"]
    assert "num_batch_threads { value: 3 }" in text
    assert "max_enqueued_batches { value: 7 }" in text
    assert "pad_variable_length_inputs: false" in text
    assert "--enable_batching" in config.arguments(tmp_path)
    assert "batching.config" not in ServerConfig(base, batching=False).files(tmp_path)


def test_batching_needs_an_export_made_for_it(exported):
    with pytest.raises(ValueError, match="`batching` needs a version exported with batching=True"):
        ServerConfig(exported.parent, batching=True)
    # Indeed a batching server would refuse a record of this export.
    sizes = [{len(c) for c in columns.values()} for _, _, columns in warmup.read_warmup(exported)]
    assert any(len(kinds) > 1 for kinds in sizes)


def test_two_versions_with_labels(tmp_path):
    base = card_only(tmp_path / "m", 3, batching=True)
    card_only(base, 4, batching=True)
    card_only(base, 5, batching=True, batch_sizes=(1, 2))
    config = ServerConfig(base, name="ads", labels={"stable": 3, "canary": 4})
    model = parse(config.files(tmp_path)["models.config"])
    assert model.name == "ads"
    assert list(model.model_version_policy.specific.versions) == [3, 4]
    assert dict(model.version_labels) == {"stable": 3, "canary": 4}
    assert "--allow_version_labels_for_unavailable_models=true" in config.arguments(tmp_path)
    with pytest.raises(ValueError, match=r"same batch sizes.* \[1, 8, 32\] and \[1, 2\]"):
        ServerConfig(base, labels={"stable": 3, "canary": 5})
    with pytest.raises(FileNotFoundError, match=r"one of \[3, 4, 5\]. Received: version=9"):
        ServerConfig(base, labels={"stable": 9})


def test_a_directory_that_is_no_export_of_ours(tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(FileNotFoundError, match=r"with model\.json"):
        ServerConfig(tmp_path)
