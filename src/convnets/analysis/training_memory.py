"""The memory of a training step, predicted from a profile."""

from __future__ import annotations

from math import prod

from convnets.analysis.cost import Profile

FLOAT = 4


def training_bytes(profile: Profile, *, moments: int = 2) -> int:
    """Peak bytes of a training step in float32 for a batch of ``profile.input_shape``.

    The weights, ``moments`` tensors of the optimizer for each (2 for Adam, 1 for SGD with momentum)
    and the input stay throughout. The peak is somewhere in the backward pass, which frees what
    layers kept as it goes and allocates the gradients of their weights: when a layer's turn comes,
    everything that it and the layers before it kept is there, and the gradients of its output, its
    input and all weights after it. What a library's kernels need for themselves is not in it.
    """
    fixed = FLOAT * (profile.params * (1 + moments) + prod(profile.input_shape))
    kept = profile.kept_bytes
    gradients = 0
    highest = kept
    rows = [row for row in profile.layers if row.activation_bytes or row.kept_bytes or row.params]
    for index in range(len(rows) - 1, -1, -1):
        row = rows[index]
        before = rows[index - 1].activation_bytes if index else 0
        gradients += FLOAT * row.params
        highest = max(highest, kept + gradients + row.activation_bytes + before)
        kept -= row.kept_bytes
    return fixed + highest
