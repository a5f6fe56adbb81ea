import subprocess

import grpc
import pytest

from rankup_keras.serving import Client, DevelopmentServer, ServingError
from tests.serving import stand_in


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate of `localhost` that signs itself."""
    place = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=place, check=True, capture_output=True)
    return (place / "key.pem").read_bytes(), (place / "cert.pem").read_bytes()


def test_beyond_loopback_with_tls_alone(exported):
    for host in ("0.0.0.0", "::", "example.org"):
        with pytest.raises(ValueError, match=r"`credentials` bring TLS: this server is for dev"):
            DevelopmentServer(exported.parent, port=0, host=host)


def test_tls_and_a_token(exported, certificate):
    key, cert = certificate
    server = DevelopmentServer(
        exported.parent,
        port=0,
        host="0.0.0.0",
        credentials=grpc.ssl_server_credentials([(key, cert)]),
        token="secret",
    )
    rows = stand_in.make_rows(2)
    trust = {"timeout": 30, "credentials": grpc.ssl_channel_credentials(cert)}
    with server:
        address = f"localhost:{server.port}"
        with Client(address, "ranker", token="secret", **trust) as client:
            assert client.predict(rows)["click"].shape == (2,)
        for token in (None, "guess"):
            refused = pytest.raises(ServingError, match="lacks the server's token")
            with Client(address, "ranker", token=token, **trust) as client, refused as caught:
                client.predict(rows)
            assert caught.value.code == "UNAUTHENTICATED"
        with Client(address, "ranker", token="secret", timeout=0.5) as client:
            with pytest.raises(ServingError) as caught:
                client.predict(rows)
            assert caught.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
