"""Residual units with the activation before the weights (He et al. 2016, arXiv:1603.05027)."""

from __future__ import annotations

from torch import Tensor, nn

from convnets.layers.conv import Convolution
from convnets.layers.network import stack


class PreactivationUnit(nn.Module):
    """Batch normalisation and ReLU, then ``branch`` beside a shortcut; nothing follows the sum.

    The branch sees the activated map. With ``shared`` the shortcut sees it too, as in the first
    unit of a stage (the paper's appendix); else it carries the input untouched (Fig. 4e).
    ``squeeze`` and ``drop`` work on the branch before the sum.
    """

    def __init__(
        self,
        in_channels: int,
        branch: nn.Module,
        *,
        shortcut: nn.Module,
        shared: bool,
        squeeze: nn.Module,
        drop: nn.Module,
    ) -> None:
        super().__init__()
        self.preactivation = activation(in_channels)
        self.branch = branch
        self.squeeze = squeeze
        self.drop = drop
        self.shortcut = shortcut
        self.shared = shared

    def forward(self, x: Tensor) -> Tensor:
        activated = self.preactivation(x)
        branch = self.drop(self.squeeze(self.branch(activated)))
        out: Tensor = branch + self.shortcut(activated if self.shared else x)
        return out


def activation(channels: int) -> nn.Sequential:
    """Batch normalisation and ReLU. Children: ``norm``, ``act``."""
    return stack(("norm", nn.BatchNorm2d(channels)), ("act", nn.ReLU(inplace=True)))


def convolution(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1
) -> Convolution:
    """A convolution without bias that keeps the size at stride 1."""
    return Convolution(
        in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False
    )


def activated_convolution(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, dropout: float = 0.0
) -> nn.Sequential:
    """Batch normalisation, ReLU, dropout if any, and a convolution without bias.

    Children: ``norm``, ``act``, ``dropout``, ``conv``.
    """
    parts: list[tuple[str, nn.Module]] = list(activation(in_channels).named_children())
    if dropout:
        parts.append(("dropout", nn.Dropout(dropout)))
    parts.append(("conv", convolution(in_channels, out_channels, kernel, stride=stride)))
    return stack(*parts)


def basic_branch(
    in_channels: int, out_channels: int, *, stride: int, dropout: float = 0.0
) -> nn.Sequential:
    """Two 3x3 convolutions; dropout, if any, between them (Wide ResNet, Section 2.4)."""
    return stack(
        ("conv1", convolution(in_channels, out_channels, 3, stride=stride)),
        ("conv2", activated_convolution(out_channels, out_channels, 3, dropout=dropout)),
    )


def bare_projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Identity where the shape stays, else a 1x1 convolution; its map is normalised already."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return convolution(in_channels, out_channels, 1, stride=stride)
