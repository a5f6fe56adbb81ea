"""Counts of small modules, worked out by hand."""

import pytest

from rankup_keras.distribution.ahead_of_time.hlo_traffic import (
    Traffic,
    count_kernels,
    count_traffic,
)

# 1,024 rows of 128 in bfloat16: 256 KiB, in whole tiles.
ROWS = "bf16[1024,128]{1,0:T(8,128)(2,1)}"
FAST = "bf16[1024,128]{1,0:T(8,128)(2,1)S(1)}"
SIZE = 1024 * 128 * 2


def entry(body, others=""):
    return f"HloModule m\n{others}\nENTRY %main (a: bf16[1]) -> bf16[1] {{\n{body}\n}}\n"


def test_an_op_reads_operands_and_writes_results_where_they_lie():
    text = entry(
        f"  %a = {ROWS} parameter(0)\n"
        f'  %b = {FAST} negate(%a), metadata={{op_name="x"}}\n'
        f"  ROOT %c = {ROWS} add(%a, %b)"
    )
    assert count_traffic(text) == Traffic(0, 3 * SIZE, 2 * SIZE)


def test_layouts_are_padded_to_whole_tiles():
    # 48 x 8: the inner 8 is padded to 128 lanes; column-major, 48 to 128 and 8 stays.
    for layout, padded in (("1,0", 48 * 128), ("0,1", 128 * 8)):
        text = entry(
            f"  %a = f32[48,8]{{{layout}:T(8,128)}} parameter(0)\n"
            f"  ROOT %b = f32[48,8]{{{layout}:T(8,128)}} negate(%a)"
        )
        assert count_traffic(text).bytes == 2 * 4 * padded
    assert count_traffic(entry("  ROOT %a = s32[] iota()")).bytes == 4


def test_products_count_their_summed_axis():
    text = entry(
        f"  %a = {ROWS} parameter(0)\n"
        "  %w = bf16[128,256]{1,0:T(8,128)(2,1)} parameter(1)\n"
        "  ROOT %y = bf16[1024,256]{1,0:T(8,128)(2,1)} convolution(%a, %w), dim_labels=bf_io->bf"
    )
    found = count_traffic(text)
    assert found.flops == 2 * 1024 * 128 * 256
    assert found.bytes == SIZE + 2 * 128 * 256 + 2 * SIZE
    dot = text.replace("convolution", "dot").replace(
        "dim_labels=bf_io->bf", "lhs_contracting_dims={1}, rhs_contracting_dims={0}"
    )
    assert count_traffic(dot) == found


def test_an_operand_that_a_nested_fusion_passes_on_is_read():
    weights = "f32[128,256]{1,0}"
    inner = f"""
%same (p: bf16[1024,128]) -> bf16[1024,128] {{
  ROOT %p = bf16[1024,128]{{1,0}} parameter(0)
}}
%narrow (q: f32[128,256]) -> bf16[128,256] {{
  %q = {weights} parameter(0)
  ROOT %c = bf16[128,256]{{1,0}} convert(%q)
}}
%product (x: bf16[1024,128], w: f32[128,256]) -> bf16[1024,256] {{
  %x = bf16[1024,128]{{1,0}} parameter(0)
  %w = {weights} parameter(1)
  %left = bf16[1024,128]{{1,0}} fusion(%x), kind=kCustom, calls=%same
  %right = bf16[128,256]{{1,0}} fusion(%w), kind=kCustom, calls=%narrow
  ROOT %y = bf16[1024,256]{{1,0}} dot(%left, %right), lhs_contracting_dims={{1}}
}}
"""
    text = entry(
        "  %a = bf16[1024,128]{1,0} parameter(0)\n"
        f"  %b = {weights} parameter(1)\n"
        "  ROOT %d = bf16[1024,256]{1,0} fusion(%a, %b), kind=kCustom, calls=%product",
        inner,
    )
    assert count_kernels(text) == {"products": (1, SIZE + 4 * 128 * 256 + 2 * SIZE)}


TILE = "bf16[256,128]{1,0:T(8,128)(2,1)}"

# A fused op that takes a tile out of its first operand, and writes a tile of its result in place.
FUSED = f"""
%inner (p: bf16[1024,128], q: bf16[256,128], i: s32[]) -> bf16[1024,128] {{
  %p = {ROWS} parameter(0)
  %i = s32[] parameter(2)
  %zero = s32[] constant(0)
  %tile = {TILE} dynamic-slice(%p, %i, %zero), dynamic_slice_sizes={{256,128}}
  %q = {TILE} parameter(1)
  %sum = {TILE} add(%tile, %q)
  ROOT %put = {ROWS} dynamic-update-slice(%p, %sum, %i, %zero)
}}
"""


def loop(turns, compare="direction=LT"):
    others = f"""{FUSED}
%body (t: (s32[], bf16[1024,128], bf16[256,128])) -> (s32[], bf16[1024,128], bf16[256,128]) {{
  %t = (s32[], {ROWS}, {TILE}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %x = {ROWS} get-tuple-element(%t), index=1
  %q = {TILE} get-tuple-element(%t), index=2
  %next = {ROWS} fusion(%x, %q, %i), kind=kLoop, calls=%inner
  ROOT %out = (s32[], {ROWS}, {TILE}) tuple(%i, %next, %q)
}}

%until (t: (s32[], bf16[1024,128], bf16[256,128])) -> pred[] {{
  %t = (s32[], {ROWS}, {TILE}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %turns = s32[] constant({turns})
  ROOT %less = pred[] compare(%i, %turns), {compare}
}}
"""
    return entry(
        f"  %t = (s32[], {ROWS}, {TILE}) parameter(0)\n"
        f"  ROOT %w = (s32[], {ROWS}, {TILE}) while(%t), condition=%until, body=%body",
        others,
    )


def test_a_loop_counts_every_turn_and_its_tiles_alone():
    # A turn reads the tile, the addend and the index, and writes the tile.
    turn = 3 * 256 * 128 * 2 + 4
    assert count_traffic(loop(4)) == Traffic(0, 4 * turn, 0)
    assert count_traffic(loop(40)).bytes == 40 * turn


def test_a_loop_whose_bound_is_handed_to_a_fused_comparison():
    text = loop(7).replace(
        "ROOT %less = pred[] compare(%i, %turns), direction=LT",
        "ROOT %less = pred[] fusion(%i, %turns), kind=kLoop, calls=%comparison",
    )
    fused = (
        "\n%comparison (a: s32[], b: s32[]) -> pred[] {\n"
        "  %a = s32[] parameter(0)\n  %b = s32[] parameter(1)\n"
        "  ROOT %c = pred[] compare(%a, %b), direction=LT\n}\n"
    )
    text = text.replace("\nENTRY", fused + "\nENTRY")
    assert count_traffic(text) == count_traffic(loop(7))


def test_a_loop_without_a_constant_bound_is_refused():
    with pytest.raises(ValueError, match=r"Loop 'w'.*no constant bound"):
        count_traffic(loop(4, compare="direction=NE"))


def test_a_loop_until_a_number_is_large_has_no_known_turns():
    text = loop(1000).replace("s32[] constant(1000)", "f32[] constant(1000)")
    with pytest.raises(ValueError, match=r"Loop 'w'.*no constant bound"):
        count_kernels(text)
    assert count_kernels(loop(1000)) == {"element-wise": (1000, count_traffic(loop(1000)).bytes)}


def test_copies_branches_and_calls():
    def negation(name, result):
        head = f"%{name} (p: bf16[1024,128]) -> bf16[1024,128] {{"
        return f"{head}\n  %p = {ROWS} parameter(0)\n  ROOT %n = {result} negate(%p)\n}}\n"

    others = negation("small", FAST) + negation("large", ROWS)
    text = entry(
        f"  %a = {ROWS} parameter(0)\n"
        "  %k = s32[] parameter(1)\n"
        f"  %s = ({FAST}, {ROWS}, u32[]{{:S(2)}}) copy-start(%a)\n"
        f"  %d = {FAST} copy-done(%s)\n"
        f"  %y = {ROWS} conditional(%k, %a, %a), branch_computations={{%small, %large}}\n"
        f"  %z = {FAST} call(%a), to_apply=%small\n"
        f'  ROOT %r = {ROWS} custom-call(), custom_call_target="AllocateBuffer"',
        others,
    )
    # The copy: one read, one fast write. The larger branch: both in main memory. The call.
    assert count_traffic(text) == Traffic(0, SIZE + 2 * SIZE + SIZE, SIZE + SIZE)


def test_kernels_of_a_branch_are_those_of_the_largest_one():
    plain = "f32[16,16]{1,0}"
    others = f"""
%small (p: f32[16,16]) -> f32[16,16] {{
  %p = {plain} parameter(0)
  ROOT %n = {plain} negate(%p)
}}

%large (p: f32[16,16]) -> f32[16,16] {{
  %p = {plain} parameter(0)
  %y = {plain} dot(%p, %p), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
  ROOT %n = {plain} negate(%y)
}}
"""
    text = entry(
        f"  %a = {plain} parameter(0)\n  %k = s32[] parameter(1)\n"
        f"  ROOT %c = {plain} conditional(%k, %a, %a), branch_computations={{%small, %large}}",
        others,
    )
    size = 16 * 16 * 4
    assert count_kernels(text) == {"products": (1, 3 * size), "element-wise": (1, 2 * size)}
    assert count_traffic(text).bytes == 5 * size
    by_name = text.replace(
        "branch_computations={%small, %large}",
        "true_computation=%small, false_computation=%large",
    )
    assert count_kernels(by_name) == count_kernels(text)


def test_a_fused_kernel_is_what_its_heaviest_op_is():
    """As XLA prints them: a Triton product in a fusion of a fusion, and what only moves."""
    plain = "f32[16,16]{1,0}"
    others = f"""
%product (p: f32[16,16], q: f32[16,16]) -> f32[16,16] {{
  %p = {plain} parameter(0)
  %q = {plain} parameter(1)
  ROOT %y = {plain} dot(%p, %q), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
}}

%outer (p: f32[16,16], q: f32[16,16]) -> f32[16] {{
  %p = {plain} parameter(0)
  %q = {plain} parameter(1)
  %y = {plain} fusion(%p, %q), kind=kCustom, calls=%product
  %zero = f32[] constant(0)
  ROOT %sum = f32[16]{{0}} reduce(%y, %zero), dimensions={{1}}, to_apply=%add
}}

%moves (p: f32[16,16]) -> f32[16,16] {{
  %p = {plain} parameter(0)
  %t = f32[16,16]{{0,1}} transpose(%p), dimensions={{1,0}}
  ROOT %c = {plain} copy(%t)
}}
"""
    text = entry(
        f"  %a = {plain} parameter(0)\n"
        "  %s = f32[16]{0} fusion(%a, %a), kind=kCustom, calls=%outer, "
        'backend_config={"kind":"__triton_gemm"}\n'
        f"  ROOT %m = {plain} fusion(%a), kind=kInput, calls=%moves",
        others,
    )
    size = 16 * 16 * 4
    assert count_kernels(text) == {
        "products": (1, 2 * size + 16 * 4),
        "copies": (1, 2 * size),
    }


def test_kernels_of_a_gpu_are_counted_by_kind():
    plain = "f32[8,16]{1,0}"
    others = f"""
%total (p: f32[8,16]) -> f32[8] {{
  %p = {plain} parameter(0)
  %zero = f32[] constant(0)
  ROOT %sum = f32[8]{{0}} reduce(%p, %zero), dimensions={{1}}, to_apply=%add
}}
"""
    text = entry(
        f"  %a = {plain} parameter(0)\n"
        "  %w = f32[16,16]{1,0} parameter(1)\n"
        f"  %y = {plain} dot(%a, %w), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}\n"
        f'  %m = {plain} custom-call(%y, %w), custom_call_target="__cublas$lt$matmul"\n'
        f"  %z = {plain} negate(%m)\n"
        f"  %c = {plain} copy(%z)\n"
        "  ROOT %s = f32[8]{0} fusion(%c), kind=kInput, calls=%total",
        others,
    )
    size = 8 * 16 * 4
    assert count_kernels(text) == {
        "products": (2, 2 * (2 * size + 16 * 16 * 4)),
        "element-wise": (1, 2 * size),
        "copies": (1, 2 * size),
        "reductions": (1, size + 8 * 4),
    }
