"""The methods that the development server answers, over gRPC's generated classes."""

import hmac
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rankup_keras.serving.client import messages
from rankup_keras.serving.client.channels import token_metadata
from rankup_keras.serving.client.messages import serving_api
from rankup_keras.serving.client.serving_error import ServingError
from rankup_keras.serving.exporting.session import SessionError
from rankup_keras.serving.server.request_limits import RequestLimits
from rankup_keras.serving.server.served_versions import ServedVersions, status_response

Method = Callable[[Any], Any]


def add_services(server: Any, versions: ServedVersions, token: str | None) -> None:
    """Adds the prediction and the model service to a `grpc.Server`.

    Args:
        server: the server.
        versions: what is served.
        token: what callers have to show, or `None`.
    """
    limits = RequestLimits()
    prediction: dict[str, Method] = {
        "Predict": _scoring("predict", versions, limits),
        "Classify": _scoring("classify", versions, limits),
        "Regress": _scoring("regress", versions, limits),
        "GetModelMetadata": lambda request: _metadata(request, versions),
    }
    model: dict[str, Method] = {
        "GetModelStatus": lambda request: _status(request, versions),
        "HandleReloadConfigRequest": lambda request: _reload(request, versions),
    }
    for name, methods in (("prediction", prediction), ("model", model)):
        service = serving_api(f"apis.{name}_service_pb2_grpc")
        title = f"{name.capitalize()}Service"
        handlers = {key: staticmethod(_answering(each, token)) for key, each in methods.items()}
        servicer = type("Servicer", (getattr(service, f"{title}Servicer"),), handlers)()
        getattr(service, f"add_{title}Servicer_to_server")(servicer, server)


def _scoring(kind: str, versions: ServedVersions, limits: RequestLimits) -> Method:
    def score(request: Any) -> Any:
        name = request.model_spec.signature_name or "serving_default"
        wanted = list(request.output_filter) if kind == "predict" else []
        repeated = sorted({key for key in wanted if wanted.count(key) > 1})
        if repeated:
            raise ServingError(f"duplicate output tensor alias: {repeated}", "INVALID_ARGUMENT")
        loaded = versions.find(request.model_spec)
        with limits.admit(request):
            results = loaded.run(_read_columns(request), name, wanted)
            response = messages.api_message(kind, "Response")
            _FILL[kind](response, results)
        messages.fill_model_spec(response.model_spec, versions.name, name, loaded.version)
        return response

    return score


def _metadata(request: Any, versions: ServedVersions) -> Any:
    api = serving_api("apis.get_model_metadata_pb2")
    if list(request.metadata_field) != ["signature_def"]:
        raise ServingError(
            f"metadata_field must be ['signature_def']. Received: {list(request.metadata_field)}",
            "INVALID_ARGUMENT",
        )
    loaded = versions.find(request.model_spec)
    found = api.SignatureDefMap(signature_def=loaded.session.definitions)
    response = api.GetModelMetadataResponse()
    response.metadata["signature_def"].Pack(found)
    messages.fill_model_spec(response.model_spec, versions.name, "", loaded.version)
    return response


def _status(request: Any, versions: ServedVersions) -> Any:
    versions.check_name(request.model_spec.name)
    states: Mapping[int, tuple[str, str]] = versions.states()
    if request.model_spec.HasField("version"):
        asked = request.model_spec.version.value
        if asked not in states:
            raise ServingError(
                f"Could not find version {asked} of model {versions.name}", "NOT_FOUND"
            )
        states = {asked: states[asked]}
    return status_response(states)


def _reload(request: Any, versions: ServedVersions) -> Any:
    api = serving_api("apis.model_management_pb2")
    response = api.ReloadConfigResponse()
    try:
        versions.reload(request.config)
    except ServingError as error:
        import grpc

        # The real server answers a reload with a status inside its response.
        response.status.error_code = grpc.StatusCode[error.code].value[0]
        response.status.error_message = str(error)
    return response


def _read_columns(request: Any) -> dict[str, np.ndarray]:
    try:
        columns = messages.read_columns(request)
    except Exception as error:
        raise ServingError(f"a tensor cannot be read: {error}", "INVALID_ARGUMENT") from None
    if not hasattr(request, "inputs") and not len(columns[messages.EXAMPLES]):
        raise ServingError("Input is empty.", "INVALID_ARGUMENT")
    return columns


def _fill_tensors(response: Any, results: dict[str, np.ndarray]) -> None:
    for key, value in results.items():
        response.outputs[key].CopyFrom(messages.tensor_proto(value))


def _fill_classes(response: Any, results: dict[str, np.ndarray]) -> None:
    for labels, scores in zip(results["classes"], results["scores"], strict=True):
        row = response.result.classifications.add()
        for label, score in zip(labels, scores, strict=True):
            row.classes.add(label=label.decode(), score=float(score))


def _fill_values(response: Any, results: dict[str, np.ndarray]) -> None:
    for value in results["outputs"].reshape(-1):
        response.result.regressions.add(value=float(value))


_FILL = {"predict": _fill_tensors, "classify": _fill_classes, "regress": _fill_values}


def _answering(method: Method, token: str | None) -> Callable[[Any, Any], Any]:
    """A gRPC handler that turns errors into statuses and never takes the server down."""
    import grpc

    codes = {code.value[0]: code for code in grpc.StatusCode}

    def handle(request: Any, context: Any) -> Any:
        try:
            _check_token(context, token)
            return method(request)
        except ServingError as error:
            code, message = grpc.StatusCode[error.code], str(error)
        except SessionError as error:
            code, message = codes.get(error.code, grpc.StatusCode.INTERNAL), str(error)
        except Exception as error:
            traceback.print_exc()
            code, message = grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
        # A status travels in a header, whose size is limited.
        context.abort(code, message[:4000])

    return handle


def _check_token(context: Any, token: str | None) -> None:
    for name, wanted in token_metadata(token):
        given = str(dict(context.invocation_metadata()).get(name, ""))
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            raise ServingError("the call lacks the server's token", "UNAUTHENTICATED")
