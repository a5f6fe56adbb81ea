import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from rankup_keras.serving import ServerConfig
from rankup_keras.serving.server.deployment import Flag, to_yaml


def test_yaml_is_read_back_as_it_was():
    value = {
        "plain": "text",
        "a key: of its own": {"number": 3, "true": True, "text": "yes", "version": "1.0"},
        "list": [Flag("--a=b", "why: not"), "c # d", {"name": "x", "inner": [{"deep": "e"}]}],
        "file.config": 'one {\n  two: "3"\n}\n',
    }
    text = to_yaml(value)
    assert '  # why: not\n  - "--a=b"' in text
    value["list"][0] = "--a=b"
    assert yaml.safe_load(text) == value


@pytest.fixture
def parts(exported, tmp_path):
    config = ServerConfig(
        exported.parent, name="Ads_Ranker", labels={"stable": 1}, cores=4, replicas=3
    )
    text = config.files(tmp_path)["kubernetes.yaml"]
    found = {part["kind"]: part for part in yaml.safe_load_all(text)}
    assert list(found) == ["ConfigMap", "Deployment", "Service"]
    return found, config


def test_kubernetes_parts_fit_each_other(parts):
    found, config = parts
    assert {part["metadata"]["name"] for part in found.values()} == {"ads-ranker"}
    assert found["ConfigMap"]["apiVersion"] == found["Service"]["apiVersion"] == "v1"
    assert found["Deployment"]["apiVersion"] == "apps/v1"
    spec = found["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels == found["Service"]["spec"]["selector"]
    assert spec["replicas"] == 3
    # No pod ends before another one is ready.
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    (container,) = spec["template"]["spec"]["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounted) == {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    # What the flags name is in the ConfigMap, and the models are where it says.
    for flag in container["args"]:
        if flag.startswith(("--model_config_file", "--monitoring_config_file")):
            folder, _, name = flag.partition("=")[2].rpartition("/")
            assert folder == mounted["config"]
            assert name in found["ConfigMap"]["data"]
    models = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(found["ConfigMap"]["data"]["models.config"], models)
    (model,) = models.model_config_list.config
    assert (model.name, model.base_path) == ("Ads_Ranker", f"{mounted['models']}/Ads_Ranker")
    assert dict(model.version_labels) == {"stable": 1}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": config.grpc_port, "rest": config.rest_port}
    probe = container["readinessProbe"]["httpGet"]
    assert probe == {"path": "/v1/models/Ads_Ranker/metadata", "port": "rest"}
    requests = container["resources"]["requests"]
    assert requests["cpu"] == "4"
    assert int(requests["memory"].removesuffix("Mi")) * 2**20 >= config.memory_bytes
    assert found["Service"]["spec"]["clusterIP"] == "None"
