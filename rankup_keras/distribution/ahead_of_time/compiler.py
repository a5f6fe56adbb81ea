"""Compiles an HLO module for a TPU or a GPU that is not there, in a process without TensorFlow.

    python compiler.py MODULE.hlo tpu v5e:2x2 RESULT.json COMPILED.txt

A process of its own, so that a crash of the compiler becomes an error message and JAX's settings do
not reach the user's program. It imports nothing of this package, so that it starts quickly.
"""

import json
import os
import pathlib
import re
import sys
import tempfile
from typing import Any


def compile_module(
    hlo: bytes, platform: str, target: str, folder: str
) -> tuple[dict[str, Any], str]:
    """Compiles for one device: memory and cost, or the compiler's refusal; the compiled text.

    Args:
        hlo: the module.
        platform: `"tpu"`, or `"cuda"` for NVIDIA's GPUs.
        target: a TPU's topology, such as `"v5e:2x2"`; a GPU as XLA's `GpuTargetConfigProto`.
        folder: an empty folder, which the compiler writes into.
    """
    from jax.experimental import topologies
    from jax.extend.mlir import hlo_to_stablehlo, ir
    from jax.interpreters import mlir
    from jaxlib import xla_client

    # JAX's types say less of a device than it has.
    where = {"topology_name": target}
    if platform == "cuda":
        where = {"target_config": target, "topology": "1x1x1"}
    devices: Any = topologies.get_topology_desc(platform=platform, **where).devices
    options = xla_client.CompileOptions()
    # The program's own `hlo_modules` fails on operations that were begun and are not done.
    debug = options.executable_build_options.debug_options
    debug.xla_dump_to, debug.xla_dump_hlo_as_text = folder, True
    with mlir.make_ir_context():
        # TensorFlow copies what it returns, which StableHLO cannot say; a reshape to the same shape
        # is the same thing.
        text = re.sub(
            r"mhlo\.copy (%[\w#]+) : (tensor<[^>]*>)",
            r"stablehlo.reshape \1 : (\2) -> \2",
            str(ir.Module.parse(hlo_to_stablehlo(hlo))),
        )
        try:
            compiled = devices[0].client.compile(
                ir.Module.parse(text), xla_client.DeviceList((devices[0],)), options
            )
        except Exception as error:
            return {"error": str(error)}, ""
    memory = compiled.get_compiled_memory_stats()
    (optimized,) = pathlib.Path(folder).glob("*after_optimizations.txt")
    cost: Any = {"flops": 0.0, "bytes accessed": 0.0}
    if platform == "tpu":
        cost = compiled.cost_analysis()
        cost = cost[0] if isinstance(cost, list) else cost
    result = {
        "arguments": memory.argument_size_in_bytes,
        "outputs": memory.output_size_in_bytes,
        "aliased": memory.alias_size_in_bytes,
        "temporary": memory.temp_size_in_bytes,
        "code": memory.generated_code_size_in_bytes,
        "flops": cost["flops"],
        "bytes": cost["bytes accessed"],
    }
    return result, optimized.read_text()


def main(source: str, platform: str, target: str, result: str, compiled: str) -> None:
    """Reads a module, writes the result as JSON and the text of what was compiled."""
    # Without these the compiler asks Google Cloud for a machine's metadata.
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    # JAX would look for a GPU's libraries, which compiling needs none of.
    os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"
    # Several compilations at once are harmless: there is no TPU to share.
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        found, text = compile_module(pathlib.Path(source).read_bytes(), platform, target, folder)
    pathlib.Path(compiled).write_text(text)
    pathlib.Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
