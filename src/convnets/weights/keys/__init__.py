"""The key map of every family for every library that has it."""

from __future__ import annotations

from collections.abc import Mapping

from convnets.weights.keymap import KeyMap
from convnets.weights.keys import (
    alexnet,
    convnext,
    convnext_v2,
    densenet,
    efficientnet,
    efficientnet_v2,
    googlenet,
    inception_resnet,
    inception_v3,
    inception_v4,
    mnasnet,
    mobilenet_v2,
    mobilenet_v3,
    preact_resnet,
    nasnet,
    pnasnet,
    resnet,
    resnext,
    senet,
    squeezenet,
    van,
    vgg,
    wide_resnet,
    xception,
)

KEYS: Mapping[str, Mapping[str, KeyMap]] = {
    "torchvision": {
        "convnext": convnext.TORCHVISION,
        "alexnet": alexnet.TORCHVISION,
        "densenet": densenet.TORCHVISION,
        "efficientnet": efficientnet.TORCHVISION,
        "efficientnet_v2": efficientnet_v2.TORCHVISION,
        "googlenet": googlenet.TORCHVISION,
        "inception_v3": inception_v3.TORCHVISION,
        "mnasnet": mnasnet.TORCHVISION,
        "mobilenet_v2": mobilenet_v2.TORCHVISION,
        "mobilenet_v3": mobilenet_v3.TORCHVISION,
        "resnet": resnet.TORCHVISION,
        "resnext": resnext.TORCHVISION,
        "squeezenet": squeezenet.TORCHVISION,
        "vgg": vgg.TORCHVISION,
        "wide_resnet": wide_resnet.TORCHVISION,
    },
    "timm": {
        "convnext": convnext.TIMM,
        "convnext_v2": convnext_v2.TIMM,
        "densenet": densenet.TIMM,
        "efficientnet": efficientnet.TIMM,
        "efficientnet_v2": efficientnet_v2.TIMM,
        "inception_resnet": inception_resnet.TIMM,
        "inception_v3": inception_v3.TIMM,
        "inception_v4": inception_v4.TIMM,
        "mnasnet": mnasnet.TIMM,
        "mobilenet_v2": mobilenet_v2.TIMM,
        "mobilenet_v3": mobilenet_v3.TIMM,
        "preact_resnet": preact_resnet.TIMM,
        "resnet": resnet.TIMM,
        "resnext": resnext.TIMM,
        "senet": senet.TIMM,
        "vgg": vgg.TIMM,
        "wide_resnet": wide_resnet.TIMM,
        "xception": xception.TIMM,
        "nasnet": nasnet.TIMM,
        "pnasnet": pnasnet.TIMM,
    },
    "authors": {
        "van": van.AUTHORS,
    },
}
