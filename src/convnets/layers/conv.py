"""Convolution, normalisation and activation as one block, and the head after global pooling."""

from __future__ import annotations

from torch import nn

from convnets.layers.network import stack


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
    eps: float = 1e-5,
    act: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution without bias, batch normalisation and, unless ``act`` is None, an activation.

    ``padding`` None keeps the size at stride 1. Children: ``conv``, ``norm``, ``act``.
    """
    parts: list[tuple[str, nn.Module]] = [
        (
            "conv",
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel,
                stride=stride,
                padding=kernel // 2 if padding is None else padding,
                groups=groups,
                bias=False,
            ),
        ),
        ("norm", nn.BatchNorm2d(out_channels, eps=eps)),
    ]
    if act is not None:
        parts.append(("act", act(inplace=True)))
    return stack(*parts)


def pooled_head(in_features: int, num_classes: int, *, dropout: float = 0.0) -> nn.Sequential:
    """Global average pooling, dropout if any, and a linear classifier."""
    parts: list[tuple[str, nn.Module]] = [
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten(1)),
    ]
    if dropout:
        parts.append(("dropout", nn.Dropout(dropout)))
    parts.append(("fc", nn.Linear(in_features, num_classes)))
    return stack(*parts)
