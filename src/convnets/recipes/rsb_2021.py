"""``rsb-a1``, ``rsb-a2``, ``rsb-a3`` and ``rsb-a3-small``: ResNet-50 once more, ten years wiser.

    convnets train resnet50 --data photos --recipe rsb-a2
    convnets bench resnet18 --data cifar10 --recipe rsb-a3-small

Wightman, Touvron and Jégou 2021 (arXiv:2110.00476), Table 2: in 600, 300 and 100 epochs of ImageNet
ResNet-50 reaches 80.4, 79.8 and 78.1 % (Table 1). A1 and A2 also show each image three times in a
batch, differently varied, which is not here. A3 trains at 160 pixels and is tested at 224.

The small form is A3 for 30 epochs of images of 32 pixels in batches of 128, whose rate LAMB's paper
scales with the square root (You et al. 2020, Section 4).
"""

from __future__ import annotations

from convnets.data.augment import Augmentation, RandAugment, ResizedCrop
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Cosine, Lamb

TABLE = "Wightman et al. 2021, Table 2"
TIMM = "timm, the authors' code"

SOURCES = {
    "optimizer.betas": f"{TIMM}: LAMB's own",
    "optimizer.eps": f"{TIMM}: 1e-6",
    "optimizer.decay_vectors": f"{TIMM}: none on norms and biases",
    "schedule.final": f"{TIMM}: down to 1e-6",
    "clip_norm": f"{TIMM}: its LAMB bounds the whole gradient's norm at 1",
    "loss": "Wightman et al. 2021, Section 3.2: binary cross-entropy",
    "augmentation.resized_crop": TABLE,
    "augmentation.flip": TABLE,
    "augmentation.mixup": TABLE,
    "augmentation.cutmix": f"{TABLE}: 1.0, one or the other with equal chance",
}
THRESHOLD = f"{TIMM}: 0.2; Section 3.2: all classes of a mixed image are there"


def rand_augment(magnitude: float) -> RandAugment:
    """timm's rand-mM-mstd0.5-inc1."""
    return RandAugment(
        operations=2, magnitude=magnitude, maximum=10, deviation=0.5, probability=0.5
    )


RSB_A1 = Recipe(
    name="rsb-a1",
    summary="ResNet strikes back, 600 epochs: LAMB, binary cross-entropy, mixup and CutMix",
    year=2021,
    epochs=600,
    batch_size=2048,
    optimizer=Lamb(lr=5e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01),
    schedule=Cosine(warmup=5 / 600, final=1e-6 / 5e-3),
    label_smoothing=0.1,
    clip_norm=1.0,
    loss="binary",
    stochastic_depth=0.05,
    sampling="repeated",
    augmentation=Augmentation(
        resized_crop=ResizedCrop(),
        flip=True,
        rand_augment=rand_augment(7),
        mixup=0.2,
        cutmix=1.0,
    ),
    input_size=224,
    sources={
        **SOURCES,
        "epochs": f"{TABLE}: 600",
        "batch_size": f"{TABLE}: 2048; raise accumulation to what fits",
        "optimizer.lr": f"{TABLE}: 5e-3",
        "optimizer.weight_decay": f"{TABLE}: 0.01",
        "schedule.warmup": f"{TABLE}: 5 epochs",
        "label_smoothing": f"{TABLE}: 0.1; a threshold would undo it, so A1 has none here",
        "stochastic_depth": f"{TABLE}: 0.05",
        "sampling": f"{TABLE}: repeated augmentation; three times as Berman et al. 2019",
        "augmentation.rand_augment": f"{TABLE}: 7 / 0.5",
        "input_size": f"{TABLE}: 224",
    },
)

RSB_A2 = Recipe(
    name="rsb-a2",
    summary="ResNet strikes back, 300 epochs",
    year=2021,
    epochs=300,
    batch_size=2048,
    optimizer=Lamb(lr=5e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.02),
    schedule=Cosine(warmup=5 / 300, final=1e-6 / 5e-3),
    clip_norm=1.0,
    loss="binary",
    binary_threshold=0.2,
    stochastic_depth=0.05,
    sampling="repeated",
    augmentation=Augmentation(
        resized_crop=ResizedCrop(),
        flip=True,
        rand_augment=rand_augment(7),
        mixup=0.1,
        cutmix=1.0,
    ),
    input_size=224,
    sources={
        **SOURCES,
        "epochs": f"{TABLE}: 300",
        "batch_size": f"{TABLE}: 2048; raise accumulation to what fits",
        "optimizer.lr": f"{TABLE}: 5e-3",
        "optimizer.weight_decay": f"{TABLE}: 0.02",
        "schedule.warmup": f"{TABLE}: 5 epochs",
        "binary_threshold": THRESHOLD,
        "stochastic_depth": f"{TABLE}: 0.05",
        "sampling": f"{TABLE}: repeated augmentation; three times as Berman et al. 2019",
        "augmentation.rand_augment": f"{TABLE}: 7 / 0.5",
        "input_size": f"{TABLE}: 224",
    },
)

RSB_A3 = Recipe(
    name="rsb-a3",
    summary="ResNet strikes back, 100 epochs at 160 pixels",
    year=2021,
    epochs=100,
    batch_size=2048,
    optimizer=Lamb(lr=8e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.02),
    schedule=Cosine(warmup=5 / 100, final=1e-6 / 8e-3),
    clip_norm=1.0,
    loss="binary",
    binary_threshold=0.2,
    augmentation=Augmentation(
        resized_crop=ResizedCrop(),
        flip=True,
        rand_augment=rand_augment(6),
        mixup=0.1,
        cutmix=1.0,
    ),
    input_size=160,
    sources={
        **SOURCES,
        "epochs": f"{TABLE}: 100",
        "batch_size": f"{TABLE}: 2048; raise accumulation to what fits",
        "optimizer.lr": f"{TABLE}: 8e-3",
        "optimizer.weight_decay": f"{TABLE}: 0.02",
        "schedule.warmup": f"{TABLE}: 5 epochs",
        "binary_threshold": THRESHOLD,
        "augmentation.rand_augment": f"{TABLE}: 6 / 0.5",
        "input_size": f"{TABLE}: 160 in training",
    },
)

RSB_A3_SMALL = Recipe(
    name="rsb-a3-small",
    summary="ResNet strikes back at 32 pixels: 30 epochs, batch 128",
    year=2021,
    epochs=30,
    batch_size=128,
    optimizer=Lamb(lr=2e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.02),
    schedule=Cosine(warmup=5 / 100, final=1e-6 / 8e-3),
    clip_norm=1.0,
    loss="binary",
    binary_threshold=0.2,
    augmentation=Augmentation(
        padding=4,
        padding_mode="zero",
        flip=True,
        rand_augment=rand_augment(6),
        mixup=0.1,
        cutmix=1.0,
    ),
    sources={
        **{path: source for path, source in SOURCES.items() if "crop" not in path},
        "epochs": "ours: for a CPU",
        "batch_size": "ours: 128, as He et al. 2015 on CIFAR",
        "optimizer.lr": f"{TABLE}, 8e-3 at 2048, times the root of 128 / 2048 (You et al. 2020)",
        "optimizer.weight_decay": f"{TABLE}: 0.02",
        "schedule.warmup": f"{TABLE}: 5 of 100 epochs",
        "binary_threshold": THRESHOLD,
        "augmentation.rand_augment": f"{TABLE}: 6 / 0.5",
        "augmentation.padding": "He et al. 2015, Section 4.2, for crops of a part of 32 pixels",
        "augmentation.padding_mode": "He et al. 2015, Section 4.2",
    },
)
