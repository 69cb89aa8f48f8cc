"""Convolutions with what follows them as one block, pooling, and the kinds of head."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from convnets.layers.network import stack

NOT_IN_PLACE = (nn.GELU, nn.Sigmoid, nn.Tanh)


class Convolution(nn.Conv2d):
    """A convolution that leaves out the taps of its kernel that would meet padding alone.

    Takes (batch, in_channels, height, width). Where an odd kernel is padded to keep the size and
    the map is smaller than its reach, as at the end of most networks on 32x32 images, the result
    is that of ``nn.Conv2d`` in less time.
    On the meta device the kernel stays whole, so that costs are counted as usual.
    """

    @property
    def same_padded(self) -> bool:
        """Whether an odd, undilated kernel is padded with zeros so that stride 1 keeps the size."""
        return (
            self.padding_mode == "zeros"
            and self.dilation == (1, 1)
            and all(
                kernel % 2 and padding == kernel // 2
                for kernel, padding in zip(self.kernel_size, self.padding, strict=True)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta or not self.same_padded:
            return super().forward(x)
        if x.shape[-2:] == (1, 1):
            return self._of_one_pixel(x)
        reach = [kernel // 2 for kernel in self.kernel_size]
        needed = [min(far, side - 1) for far, side in zip(reach, x.shape[-2:], strict=True)]
        if needed == reach:
            return super().forward(x)
        rows, columns = (
            slice(far - near, far + near + 1) for far, near in zip(reach, needed, strict=True)
        )
        weight = self.weight[:, :, rows, columns]
        return F.conv2d(x, weight, self.bias, self.stride, needed, groups=self.groups)

    def _of_one_pixel(self, x: Tensor) -> Tensor:
        """A map of 1x1, which meets the middle of the kernel alone: a matrix product."""
        taps = self.weight.flatten(2)
        weight = taps[:, :, taps.shape[2] // 2].contiguous()  # once, not again in backward
        if self.groups == 1:
            return F.linear(x.flatten(1), weight, self.bias)[:, :, None, None]
        return F.conv2d(x, weight[:, :, None, None], self.bias, groups=self.groups)


class SameConvolution(Convolution):
    """A convolution padded as TensorFlow's ``SAME``: the output is the input over the stride.

    What odd padding is left goes to the right and below. ``padding`` is not heeded.
    """

    def forward(self, x: Tensor) -> Tensor:
        sides = []
        for kernel, stride, side in zip(self.kernel_size, self.stride, x.shape[-2:], strict=True):
            missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            sides.append((missing // 2, missing - missing // 2))
        (top, bottom), (left, right) = sides
        if top == bottom and left == right:
            return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), groups=self.groups)
        padded = F.pad(x, (left, right, top, bottom))
        return F.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
    bias: bool = False,
    eps: float = 1e-5,
    momentum: float = 0.1,
    act: type[nn.Module] | None = nn.ReLU,
    convolution: type[Convolution] = Convolution,
) -> nn.Sequential:
    """Convolution, batch normalisation and, unless ``act`` is None, an activation.

    ``padding`` None keeps the size at stride 1. Children: ``conv``, ``norm``, ``act``.
    """
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    parts: list[tuple[str, nn.Module]] = [
        (
            "conv",
            convolution(
                in_channels,
                out_channels,
                (rows, columns),
                stride=stride,
                padding=(rows // 2, columns // 2) if padding is None else padding,
                groups=groups,
                bias=bias,
            ),
        ),
        ("norm", nn.BatchNorm2d(out_channels, eps=eps, momentum=momentum)),
    ]
    if act is not None:
        parts.append(("act", act() if act in NOT_IN_PLACE else act(inplace=True)))
    return stack(*parts)


def conv_relu(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int,
    groups: int = 1,
) -> nn.Sequential:
    """Convolution with bias, and ReLU."""
    convolution = nn.Conv2d(
        in_channels, out_channels, kernel, stride=stride, padding=padding, groups=groups
    )
    return stack(("conv", convolution), ("act", nn.ReLU(inplace=True)))


def overlapping_pool() -> nn.MaxPool2d:
    """The largest of 3x3 pixels, two pixels apart; the last window may hang over the edge.

    Caffe's rounding, by which 54 becomes 27 and 55 becomes 27 too.
    """
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


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


def dense_head(in_channels: int, side: int, hidden: int, num_classes: int) -> nn.Sequential:
    """Average pooling to ``side`` x ``side`` pixels, two hidden layers and a classifier.

    The head of AlexNet, ZFNet and VGG. The pooling changes nothing at the papers' input size.
    Dropout follows both hidden layers (Krizhevsky et al. 2012, Section 4.2).
    """
    return stack(
        ("pool", nn.AdaptiveAvgPool2d(side)),
        ("flatten", nn.Flatten(1)),
        ("fc1", nn.Linear(in_channels * side**2, hidden)),
        ("act1", nn.ReLU(inplace=True)),
        ("dropout1", nn.Dropout(0.5)),
        ("fc2", nn.Linear(hidden, hidden)),
        ("act2", nn.ReLU(inplace=True)),
        ("dropout2", nn.Dropout(0.5)),
        ("fc3", nn.Linear(hidden, num_classes)),
    )


def convolutional_head(
    in_channels: int, num_classes: int, *, dropout: float = 0.0
) -> nn.Sequential:
    """A map for each class by a 1x1 convolution and ReLU, and its mean as logit.

    The head of Network in Network (Lin et al. 2013, Section 3.2) and of SqueezeNet.
    """
    parts: list[tuple[str, nn.Module]] = [("dropout", nn.Dropout(dropout))] if dropout else []
    return stack(
        *parts,
        ("conv", nn.Conv2d(in_channels, num_classes, 1)),
        ("act", nn.ReLU(inplace=True)),
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten(1)),
    )
