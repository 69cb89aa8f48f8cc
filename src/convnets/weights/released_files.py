"""The files that torchvision and timm have released for our networks, as they name them."""

from __future__ import annotations

# Below https://download.pytorch.org/models/; the digits begin the file's SHA-256.
TORCHVISION: dict[str, str] = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnet152": "resnet152-394f9c45.pth",
}

# Repositories of https://huggingface.co/timm, each with a model.safetensors.
TIMM: dict[str, str] = {
    "resnet18": "resnet18.a1_in1k",
    "resnet34": "resnet34.a1_in1k",
    "resnet50": "resnet50.a1_in1k",
    "resnet101": "resnet101.a1h_in1k",
    "resnet152": "resnet152.a1h_in1k",
}
