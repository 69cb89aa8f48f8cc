"""``densenet-2017`` and ``densenet-2017-small``: how DenseNet was trained, on ImageNet and CIFAR.

    convnets train densenet121 --data photos --recipe densenet-2017
    convnets bench densenet_bc_100_k12 --data cifar10 --recipe densenet-2017-small

Huang, Liu, van der Maaten and Weinberger 2017 (arXiv:1608.06993), Section 4.2, which has both: 90
epochs of ImageNet, where DenseNet-121 reaches 25.02 % top-1 error (Table 3), and 300 of CIFAR,
where DenseNet-BC (100 layers, growth rate 12) reaches 4.51 % (Table 2).
"""

from __future__ import annotations

from convnets.data.augment import Augmentation, ColourJitter, ResizedCrop
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Sgd, Steps

SECTION = "Huang et al. 2017, Section 4.2"
TORCH = "fb.resnet.torch, which the authors' code extends"

SOURCES = {
    "optimizer.lr": f"{SECTION}: 0.1",
    "optimizer.momentum": f"{SECTION}: 0.9",
    "optimizer.nesterov": f"{SECTION}, without dampening",
    "optimizer.weight_decay": f"{SECTION}: 1e-4",
}

DENSENET_2017 = Recipe(
    name="densenet-2017",
    summary="DenseNet on ImageNet: Nesterov, rate divided by 10 at 30 and 60 of 90 epochs",
    year=2017,
    epochs=90,
    batch_size=256,
    optimizer=Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
    schedule=Steps(milestones=(1 / 3, 2 / 3), factor=0.1),
    augmentation=Augmentation(
        resized_crop=ResizedCrop(),
        flip=True,
        colour_jitter=ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4),
        pca=0.1,
    ),
    input_size=224,
    sources={
        **SOURCES,
        "epochs": f"{SECTION}: 90",
        "batch_size": f"{SECTION}: 256",
        "schedule": f"{SECTION}: divided by 10 at epochs 30 and 60",
        "augmentation": TORCH,
        "input_size": "Huang et al. 2017, Section 4.1: 224",
    },
)

DENSENET_2017_SMALL = Recipe(
    name="densenet-2017-small",
    summary="DenseNet on CIFAR: batch 64, rate divided by 10 at 1/2 and 3/4 of 300 epochs",
    year=2017,
    epochs=300,
    batch_size=64,
    optimizer=Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
    schedule=Steps(milestones=(0.5, 0.75), factor=0.1),
    augmentation=Augmentation(padding=4, padding_mode="zero", flip=True),
    sources={
        **SOURCES,
        "epochs": f"{SECTION}: 300",
        "batch_size": f"{SECTION}: 64",
        "schedule": f"{SECTION}: divided by 10 at half and three quarters",
        "augmentation": "Huang et al. 2017, Section 4.1: mirroring and shifting",
    },
)
