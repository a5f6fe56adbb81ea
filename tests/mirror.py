"""Which source files have no test file at the mirrored path: `python -m tests.mirror`.

`rankup_keras/layers/mixers/residual.py` is tested by `tests/layers/mixers/test_residual.py`.
"""

import ast
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "rankup_keras"

# Where source files without a test file of their own are tested, and why there.
_FORMS = ("tests/kernels/test_kernels.py", "one test holds every form against its reference")
_NETWORKS = ("tests/layers/mixers/test_per_token_networks.py", "one test against the equations")
_BLOCKS = ("tests/layers/mixers/test_blocks.py", "residual sums show only within blocks")
_GROUPS = ("tests/layers/tokens/test_tokenizers.py", "one test against loops over the groups")
_SMALL = ("tests/layers/tokens/test_other_tokens.py", "layers of a few lines, tested together")
_EVENTS = ("tests/features/test_events.py", "what events are, from raw rows to packed tensors")
_SEQUENCES = ("tests/layers/sequences/test_layers.py", "one table of layers, equations and inputs")
_MASKED = ("tests/layers/mixers/test_user_item_mixing.py", "two halves of one masked mixing")
_EVENT_MODELS = (
    "tests/models/test_event_models.py",
    "properties that every model of events has to have",
)
_TOWERS = ("tests/layers/towers/test_towers.py", "one test from tokens to logits")

EXPLAINED: dict[str, tuple[str, str]] = {
    "__init__.py": ("tests/test_registry.py", "what the package gives on demand"),
    "cli/__init__.py": ("tests/cli/test_interrupts.py", "what a process has beside its command"),
    "cli/update_command.py": ("tests/cli/test_updating.py", "what a day says and returns"),
    "models/warm_start_report.py": ("tests/models/test_warm_starting.py", "what it is told"),
    "data/source.py": ("tests/data/test_files.py", "what every reader of files has to offer"),
    "distribution/ahead_of_time/compiling.py": (
        "tests/distribution/tpu/test_ahead_of_time.py",
        "what `tpu_check` and `gpu_check` begin with",
    ),
    "distribution/ahead_of_time/compiler.py": (
        "tests/distribution/tpu/test_ahead_of_time.py",
        "a program that runs in a process of its own, for `tpu_check`",
    ),
    "models/compiled_steps.py": (
        "tests/models/test_compiled_region.py",
        "says when a model's steps are those of a compiled region",
    ),
    "layers/embeddings/placement.py": (
        "tests/distribution/tpu/test_tpu_tables.py",
        "only a strategy that passes for a TPU's shows where tables are placed",
    ),
    "layers/mixers/dense_to_experts.py": (
        "tests/layers/mixers/test_per_token_top_k_moe.py",
        "the experts that it makes are the dense network that it is given",
    ),
    "layers/mixers/siamese_sum.py": (
        "tests/layers/mixers/test_siamese_residual.py",
        "what a sub-layer reads of its streams, against one equation",
    ),
    "layers/mixers/rms_norm.py": (
        "tests/layers/mixers/test_blocks.py",
        "as the norm of a block, against the equations",
    ),
    "layers/tokens/per_token_initializer.py": (
        "tests/layers/tokens/test_per_token_dense.py",
        "shows in the kernels of the layers that it initializes",
    ),
    "serving/client/serving_error.py": (
        "tests/serving/client/test_grpc_client.py",
        "raised by every call that a server refuses",
    ),
    "training/two_tower_job.py": (
        "tests/training/test_two_tower.py",
        "a program that runs in a process of its own, on Keras 2",
    ),
    "features/alignment.py": _EVENTS,
    "features/event_encoding.py": _EVENTS,
    "features/timestamp.py": _EVENTS,
    "features/preprocessing.py": (
        "tests/features/test_feature_set.py",
        "the part of a feature set that encodes rows",
    ),
    "layers/embeddings/take_channels.py": _EVENT_MODELS,
    "layers/embeddings/take_columns.py": _EVENT_MODELS,
    "layers/mixers/item_token_mixing.py": _MASKED,
    "layers/mixers/user_token_mixing.py": _MASKED,
    **{
        f"layers/sequences/{name}.py": _SEQUENCES
        for name in (
            "attend",
            "din_attention",
            "event_attention",
            "event_embedding",
            "event_swiglu",
            "head_attention",
            "hstu_encoder",
            "longer_encoder",
            "merged_events",
            "transformer_encoder",
            "trim_padding",
        )
    },
    **{
        f"models/{name}.py": _EVENT_MODELS
        for name in (
            "event_matches",
            "event_sequence",
            "hyformer",
            "mixformer",
            "sequence_family",
            "token_streams",
            "user_part",
        )
    },
    "kernels/__init__.py": _FORMS,
    "kernels/cpu_inference.py": _FORMS,
    "kernels/gpu_inference.py": _FORMS,
    "kernels/layout.py": _FORMS,
    "kernels/program.py": _FORMS,
    "kernels/reference.py": _FORMS,
    "kernels/sparse_experts.py": _FORMS,
    "kernels/training.py": _FORMS,
    "layers/mixers/per_token_ffn.py": _NETWORKS,
    "layers/mixers/per_token_swiglu.py": _NETWORKS,
    "layers/mixers/mixer_block.py": _BLOCKS,
    "layers/mixers/residual.py": _BLOCKS,
    "layers/tokens/crossed_tokens.py": _SMALL,
    "layers/tokens/global_token.py": _SMALL,
    "layers/tokens/numeric_embedding.py": _SMALL,
    "layers/tokens/sequence_pooling.py": _SMALL,
    "layers/tokens/sequence_tokens.py": _SMALL,
    "layers/tokens/task_tokens.py": _SMALL,
    "layers/tokens/token_assembly.py": _SMALL,
    "layers/tokens/field_groups.py": _GROUPS,
    "layers/tokens/group_tokenizer.py": _GROUPS,
    "layers/tokens/permutation_tokenizer.py": _GROUPS,
    "layers/tokens/slice_tokenizer.py": _GROUPS,
    "layers/towers/task_towers.py": _TOWERS,
    "layers/towers/token_pooling.py": _TOWERS,
}


def has_behavior(source: pathlib.Path) -> bool:
    """Whether a file defines a function or a class that does something."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(node, kinds) for node in ast.walk(ast.parse(source.read_text())))


def test_file_of(source: pathlib.Path) -> pathlib.Path:
    """Where the tests of a source file are expected."""
    inside = source.relative_to(PACKAGE)
    return ROOT / "tests" / inside.with_name(f"test_{inside.stem.lstrip('_')}.py")


def without_tests() -> list[str]:
    """Source files with behavior and without a test file, explained or not."""
    return [
        str(source.relative_to(PACKAGE))
        for source in sorted(PACKAGE.rglob("*.py"))
        if has_behavior(source) and not test_file_of(source).exists()
    ]


def main() -> int:
    """Prints the source files without tests; exit status 1 if one of them is not explained."""
    missing = without_tests()
    for name in missing:
        print(f"{name}: {' '.join(EXPLAINED.get(name, ['NOT EXPLAINED']))}")
    return int(any(name not in EXPLAINED for name in missing))


if __name__ == "__main__":
    sys.exit(main())
