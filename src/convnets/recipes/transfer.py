"""``finetune`` and ``linear-probe``: networks that have learned on ImageNet, on your images.

    convnets train resnet50 --data photos --recipe finetune
    convnets train resnet50 --data photos --recipe linear-probe --weights timm

Kornblith, Shlens and Le 2019 (arXiv:1805.08974) train all layers on, or the last one alone; the
second says what the features are worth as they are, and takes minutes. Both start from
torchvision's weights unless ``--weights`` names others. Images of 64 pixels and below keep their
size, at which such features say little: give ``--size 224``.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation, ResizedCrop
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Cosine, Sgd

PAPER = "Kornblith et al. 2019"
APPENDIX = f"{PAPER}, appendix on fine-tuning"

SOURCES = {
    "optimizer.momentum": f"{APPENDIX}: 0.9",
    "optimizer.nesterov": APPENDIX,
    "schedule": f"{APPENDIX}: a cosine",
    "weights": "torchvision's first release for each network",
    "normalise": "the mean and deviation that torchvision and timm train with",
    "augmentation.resized_crop": f"{APPENDIX}: crops of any scale and ratio, resized",
    "augmentation.flip": APPENDIX,
}

FINETUNE = Recipe(
    name="finetune",
    summary="all layers of a trained network go on learning, on your images",
    epochs=20,
    batch_size=64,
    optimizer=Sgd(lr=5e-3, momentum=0.9, nesterov=True, weight_decay=1e-4),
    schedule=Cosine(warmup=0.05),
    weights="torchvision",
    normalise="imagenet",
    augmentation=Augmentation(resized_crop=ResizedCrop(scale=(0.25, 1.0)), flip=True),
    sources={
        **SOURCES,
        "epochs": "ours: for some thousands of images",
        "batch_size": "ours: 64, for few images and little memory",
        "optimizer.lr": f"ours: in the middle of the 1e-4 to 0.1 that {APPENDIX} searches",
        "optimizer.weight_decay": f"ours: within the range that {APPENDIX} searches",
        "schedule.warmup": "ours: the last layer is new, and its first gradients are no guide",
        "augmentation.resized_crop": f"{APPENDIX}; ours: no crop below a quarter of the image",
    },
)

LINEAR_PROBE = Recipe(
    name="linear-probe",
    summary="only the last layer of a trained network learns your classes",
    epochs=20,
    batch_size=256,
    optimizer=Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0),
    schedule=Cosine(),
    dropout=0.0,
    stochastic_depth=0.0,
    freeze=("all-but-last",),
    weights="torchvision",
    normalise="imagenet",
    augmentation=Augmentation(resized_crop=ResizedCrop(scale=(0.25, 1.0)), flip=True),
    sources={
        **SOURCES,
        "epochs": "ours: enough for one layer",
        "batch_size": "He et al. 2022 (MAE), Table 10, per 256 images",
        "optimizer.lr": "He et al. 2022 (MAE), Table 10: 0.1 for each 256 images",
        "optimizer.weight_decay": "He et al. 2022 (MAE), Table 10: none",
        "dropout": "none: the features are as they are in a test",
        "stochastic_depth": "none: the features are as they are in a test",
        "freeze": f"{PAPER}: logistic regression on fixed features",
        "augmentation.resized_crop": "He et al. 2022 (MAE), Table 10; ours: none below a quarter",
    },
)
