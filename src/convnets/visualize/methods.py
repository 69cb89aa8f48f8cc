"""The attribution methods by name, all called alike."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from convnets.visualize.arrays import Picture
from convnets.visualize.attribution import (
    class_deconvnet,
    guided_backpropagation,
    integrated_gradients,
    occlusion,
    saliency,
    smooth_grad,
)
from convnets.visualize.cam import grad_cam, grad_cam_plus_plus
from convnets.visualize.scores import Target


class Method(Protocol):
    """How much each pixel of images (batch, channels, height, width) counts for the target."""

    def __call__(
        self, network: nn.Module, images: Tensor, /, *, target: Target = None
    ) -> Picture: ...


METHODS: dict[str, Method] = {
    "saliency": saliency,
    "deconvnet": class_deconvnet,
    "guided-backpropagation": guided_backpropagation,
    "integrated-gradients": integrated_gradients,
    "smooth-grad": smooth_grad,
    "occlusion": occlusion,
    "grad-cam": grad_cam,
    "grad-cam++": grad_cam_plus_plus,
}
