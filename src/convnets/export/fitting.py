"""``data/fit.py`` as an ONNX graph: images of any size to the square that a network takes.

Of images (batch, height, width, channels) uint8 it makes (batch, size, size, channels) uint8, bit
for bit those of ``fitted``. ONNX's own ``Resize`` with antialias is not that of torch and Pillow:
the resize is spelt out in whole numbers, with the weights of a triangle filter rounded to 16 bits
and the result of each pass to 8, as torch resizes images in bytes.
"""

from __future__ import annotations

import onnx
import onnx.parser

from convnets.data.fit import BORDER

FITTED = "fitted"
GRAPH = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
fit (uint8[batch, height, width, {channels}] images) => (uint8[{shape}] fitted)
{{
    first = Constant <value = int64[1] {{0}}> ()
    two = Constant <value = int64[1] {{2}}> ()
    size = Constant <value = int64[1] {{{size}}}> ()
    least = Constant <value = int64[1] {{{least}}}> ()
    both = Constant <value = int64[2] {{1, 2}}> ()

    # What lies within {border} pixels below the size is bordered, of the rest the middle is taken.
    sides = Shape <start = 1, end = 3> (images)
    shorter = ReduceMin <keepdims = 1> (sides)
    longer = ReduceMax <keepdims = 1> (sides)
    not_small = GreaterOrEqual (shorter, least)
    not_large = LessOrEqual (longer, size)
    bordered = And (not_small, not_large)
    taken = Where (bordered, sides, shorter)
    beyond = Sub (sides, taken)
    start = Div (beyond, two)
    end = Add (start, taken)
    middle = Slice (images, start, end, both)
    wanted = Where (bordered, size, shorter)
    missing = Sub (wanted, taken)
    before = Div (missing, two)
    after = Sub (missing, before)
    pads = Concat <axis = 0> (before, after)
    square = Pad <mode = "constant"> (middle, pads, , both)

    same = Equal (wanted, size)
    is_same = Squeeze (same, first)
    fitted = If (is_same) <
        then_branch = as_it_is () => (uint8[{shape}] kept)
        {{
            kept = Identity (square)
        }},
        else_branch = resize () => (uint8[{shape}] resized)
        {{
            none = Constant <value = double {{0.0}}> ()
            half = Constant <value = double {{0.5}}> ()
            unit = Constant <value = double {{1.0}}> ()
            zero = Constant <value = int64 {{0}}> ()
            one = Constant <value = int64 {{1}}> ()
            last = Constant <value = int64[1] {{-1}}> ()
            byte = Constant <value = int32 {{256}}> ()
            white = Constant <value = int32 {{255}}> ()

            # Row i of the result looks around its centre (i + 1/2) scale, as far as it is enlarged.
            # The weights fall to both sides as a triangle.
            side = Squeeze (shorter, first)
            result_side = Squeeze (size, first)
            side_exact = Cast <to = 11> (side)
            result_exact = Cast <to = 11> (result_side)
            scale = Div (side_exact, result_exact)
            reach = Max (scale, unit)
            rows = Range (zero, result_side, one)
            rows_exact = Cast <to = 11> (rows)
            rows_middle = Add (rows_exact, half)
            centres_flat = Mul (rows_middle, scale)
            centres = Unsqueeze (centres_flat, last)
            columns = Range (zero, side, one)
            columns_exact = Cast <to = 11> (columns)
            columns_middle = Add (columns_exact, half)
            offsets = Sub (columns_middle, centres)
            distances = Abs (offsets)
            away = Div (distances, reach)
            falling = Sub (unit, away)
            triangle = Max (falling, none)
            sums = ReduceSum <keepdims = 1> (triangle, last)
            shares = Div (triangle, sums)

            # They are scaled by the largest power of two by which all still fit into 16 bits, and
            # split into bytes, whose products with bytes are exact.
            powers = Constant <value = double[23] {{{powers}}}> ()
            bound = Constant <value = double {{32768.0}}> ()
            largest = ReduceMax <keepdims = 0> (shares)
            scaled = Mul (powers, largest)
            scaled_up = Add (scaled, half)
            fits = Less (scaled_up, bound)
            fitting = Where (fits, powers, unit)
            power_exact = ReduceMax <keepdims = 0> (fitting)
            power = Cast <to = 6> (power_exact)
            half_power_exact = Mul (power_exact, half)
            half_power = Cast <to = 6> (half_power_exact)
            raised = Mul (shares, power_exact)
            raised_up = Add (raised, half)
            whole = Cast <to = 6> (raised_up)
            high_whole = Div (whole, byte)
            high_part = Mul (high_whole, byte)
            low_whole = Sub (whole, high_part)
            high = Cast <to = 2> (high_whole)
            low = Cast <to = 2> (low_whole)
            high_turned = Transpose <perm = [1, 0]> (high)
            low_turned = Transpose <perm = [1, 0]> (low)

            # Along the rows first, then along the columns.
            planes = Transpose <perm = [0, 3, 1, 2]> (square)
            across_high = MatMulInteger (planes, high_turned)
            across_low = MatMulInteger (planes, low_turned)
            across_shifted = Mul (across_high, byte)
            across = Add (across_shifted, across_low)
            across_up = Add (across, half_power)
            across_whole = Div (across_up, power)
            across_white = Min (across_whole, white)
            narrow = Cast <to = 2> (across_white)
            down_high = MatMulInteger (high, narrow)
            down_low = MatMulInteger (low, narrow)
            down_shifted = Mul (down_high, byte)
            down = Add (down_shifted, down_low)
            down_up = Add (down, half_power)
            down_whole = Div (down_up, power)
            down_white = Min (down_whole, white)
            small = Cast <to = 2> (down_white)
            resized = Transpose <perm = [0, 2, 3, 1]> (small)
        }}
    >
}}
"""


def fitting_graph(size: int, channels: int, *, opset: int, ir_version: int) -> onnx.ModelProto:
    """The model with the input ``images`` and the output ``fitted``; opset 18 or later."""
    text = GRAPH.format(
        size=size,
        channels=channels,
        shape=f"batch, {size}, {size}, {channels}",
        border=BORDER,
        least=size - BORDER,
        opset=opset,
        ir_version=ir_version,
        powers=", ".join(f"{2.0**power}" for power in range(23)),
    )
    without_remarks = "\n".join(line.partition("#")[0] for line in text.splitlines())
    return onnx.parser.parse_model(without_remarks)
