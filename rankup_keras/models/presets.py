"""Named configurations."""

from collections.abc import Sequence
from typing import Any

from rankup_keras.features import FeatureSet
from rankup_keras.layers.towers import Task
from rankup_keras.models.hyformer import HyFormer
from rankup_keras.models.mixformer import MixFormer
from rankup_keras.models.rankelastor import RankElastor
from rankup_keras.models.ranking_model import RankingModel
from rankup_keras.models.rankmixer import RankMixer
from rankup_keras.models.rankup import RankUp

# RankMixer's expansion k is not published. From its parameter count,
# T (2 k D^2 + k D + D) + 4 D a block: 107M at (D 768, T 16, L 2) gives k = 2.83, for which 17/6
# makes the hidden layer 2,176 wide; 1.1B at (D 1536, T 32, L 2) gives k = 3.64, for which 175/48
# makes it 5,600 wide.
#
# TokenMixer-Large and UniMixer publish the sizes of whole models, but not D, T, H and n ("sizes
# ours"). A block of TokenMixer-Large has 6 n T D^2 parameters where H = T, one of
# UniMixer-Lite 3 n T D^2 in its network and few in its mixing.
LARGE: dict[str, Any] = {"norm": "rms_norm", "inter_residual": 2, "auxiliary_loss": 0.1}
LARGE |= {"multi_embedding": False, "task_tokens": False, "max_tokens": 32, "num_blocks": 4}
LARGE |= {"mixing": {"kind": "tokenmixer_large", "num_heads": 32}, "down_scale": 0.01}
LITE: dict[str, Any] = {"num_tokens": 16, "num_blocks": 4, "norm": "siamese", "expansion": 3}
LITE |= {"mixing": {"kind": "unimixing", "bases": 4, "rank": 128}, "ffn": "swiglu"}

PRESETS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "rankmixer_small": (
        RankMixer,
        {"token_dim": 32, "num_blocks": 2, "expansion": 2, "embedding_dim": 16},
    ),
    "rankmixer_100m": (
        RankMixer,
        {"token_dim": 768, "num_tokens": 16, "num_blocks": 2, "expansion": 17 / 6},
    ),
    "rankmixer_1b": (
        RankMixer,
        {"token_dim": 1536, "num_tokens": 32, "num_blocks": 2, "expansion": 175 / 48},
    ),
    "rankup_small": (
        RankUp,
        {"token_dim": 32, "num_blocks": 2, "expansion": 2, "embedding_dim": 16},
    ),
    "rankup_base": (
        RankUp,
        {"token_dim": 256, "num_blocks": 2, "expansion": 2, "embedding_dim": 16},
    ),
    # The paper gives about 100M dense parameters, 2 blocks, 32 sparse tokens and at least 15
    # others, but neither width nor expansion: with 48 tokens of width 384, 3 k T D^2 a block gives
    # 99M for k = 7/3. Fewer fields make fewer tokens and a smaller model.
    "rankup_100m": (
        RankUp,
        {"token_dim": 384, "max_tokens": 48, "num_blocks": 2, "expansion": 7 / 3},
    ),
    # Small is published with a width of 386, which 16 heads do not divide.
    "mixformer_small": (MixFormer, {"token_dim": 384, "num_heads": 16, "num_blocks": 4}),
    "mixformer_medium": (MixFormer, {"token_dim": 768, "num_heads": 16, "num_blocks": 4}),
    # As the baseline of KDD Cup 2026, with its four sequences: 8 queries and 8 other tokens.
    "hyformer_taac": (
        HyFormer,
        {"token_dim": 64, "num_queries": 2, "num_blocks": 2, "num_heads": 4, "expansion": 4},
    ),
    # Sizes ours.
    "tokenmixer_large_small": (
        RankUp,
        {
            **LARGE,
            "token_dim": 32,
            "mixing": {"kind": "tokenmixer_large", "num_heads": 8},
            "embedding_dim": 16,
        },
    ),
    "tokenmixer_large_500m": (RankUp, {**LARGE, "token_dim": 512, "expansion": 2.5}),
    "tokenmixer_large_4b_moe": (
        RankUp,
        {
            **LARGE,
            "token_dim": 1408,
            "ffn": {"kind": "sparse_moe", "num_experts": 8, "num_active": 4, "expansion": 2.625},
        },
    ),
    "unimixer_lite_38m": (RankMixer, {**LITE, "token_dim": 256}),
    "unimixer_lite_84m": (RankMixer, {**LITE, "token_dim": 384}),
    "rankelastor_paper": (RankElastor, {"form": "paper", "num_blocks": 2, "expansion": 3}),
    "rankelastor_code": (
        RankElastor,
        {"form": "code", "num_blocks": 2, "expansion": 3, "hidden_units": (16,)},
    ),
}


def from_preset(
    preset: str, features: FeatureSet, tasks: Sequence[Task | str], **overrides: Any
) -> RankingModel:
    """Builds a model from a named configuration; also a class method of each model.

    Args:
        preset: one of `PRESETS`.
        features: adapted `FeatureSet`.
        tasks: list of `Task` or of names.
        **overrides: arguments of the model that the preset sets otherwise, or
            does not set.

    Returns:
        The model.

    Raises:
        ValueError: an unknown name.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"ad": ["a", "b"], "user": ["x", "y"]}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    model = rk.from_preset("rankmixer_small", features, ["click"], num_blocks=1)
    same = rk.RankMixer.from_preset("rankmixer_small", features, ["click"], num_blocks=1)
    print(model.count_params() == same.count_params())
    ```
    """
    return build_preset(preset, RankingModel, features, tasks, overrides)


def build_preset(
    preset: str,
    kind: type[RankingModel],
    features: FeatureSet,
    tasks: Sequence[Task | str],
    overrides: dict[str, Any],
) -> RankingModel:
    """`from_preset`, of the presets of a class and its subclasses alone."""
    names = sorted(name for name, (model, _) in PRESETS.items() if issubclass(model, kind))
    if preset not in names:
        other = f", which is a preset of {PRESETS[preset][0].__name__}" if preset in PRESETS else ""
        of_kind = "" if kind is RankingModel else f" for {kind.__name__}"
        raise ValueError(f"`preset` must be one of {names}{of_kind}. Received: {preset!r}{other}.")
    model, settings = PRESETS[preset]
    return model(features, tasks, **{**settings, **overrides})
