"""Types of the arguments of features and models, taken from their own constructors."""

import functools
import inspect
import typing
from typing import Any

import pydantic

import rankup_keras as rk
from rankup_keras.models import PRESETS

FEATURES: dict[str, type] = {
    "categorical": rk.Categorical,
    "numeric": rk.Numeric,
    "sequence": rk.Sequence,
    "pretrained": rk.Pretrained,
}
MODELS: dict[str, type] = {
    "RankUp": rk.RankUp,
    "RankMixer": rk.RankMixer,
    "RankElastor": rk.RankElastor,
    "DLRM": rk.DLRM,
    "DCNv2": rk.DCNv2,
}


@functools.cache
def arguments(owner: type) -> type[pydantic.BaseModel]:
    """A model of the keyword arguments of a constructor, unknown ones refused."""
    hints = typing.get_type_hints(owner.__init__)  # type: ignore[misc]
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(owner).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD or name in ("features", "tasks"):
            continue
        required = parameter.default is parameter.empty
        fields[name] = (hints.get(name, Any), ... if required else parameter.default)
    config = pydantic.ConfigDict(
        extra="forbid", strict=True, arbitrary_types_allowed=True, protected_namespaces=()
    )
    return pydantic.create_model(owner.__name__, __config__=config, **fields)


def model_class(settings: dict[str, Any]) -> type:
    """The class that a `model` section names, by `type` or `preset`."""
    preset = settings.get("preset")
    if preset is not None:
        return PRESETS[preset][0]
    return MODELS[settings.get("type") or "RankUp"]
