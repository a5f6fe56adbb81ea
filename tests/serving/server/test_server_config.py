import json
import re
import shlex

import pytest
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
    # The subset of YAML that the file uses: keys, and lists of JSON strings.
    strings = [json.loads(item) for item in re.findall(r'- (".*")', text)]
    assert [s for s in strings if s.startswith("127.0.0.1")] == [
        "127.0.0.1:9000:9000",
        "127.0.0.1:9001:9001",
    ]
    assert f"{exported.parent}:{exported.parent}:ro" in strings
    assert f"{tmp_path}:{tmp_path}:ro" in strings
    assert [s for s in strings if s.startswith("--")] == config.arguments(tmp_path)


def test_batching_is_what_was_warmed_up(tmp_path):
    base = card_only(tmp_path / "m", 1, batching=True)
    config = ServerConfig(base, num_batch_threads=3, max_enqueued_batches=7)
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
