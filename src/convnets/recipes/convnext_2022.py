"""``convnext-2022`` and ``convnext-2022-small``: how ConvNeXt was trained, at 224 and at 32 pixels.

    convnets train convnext_tiny --data photos --recipe convnext-2022
    convnets bench convnext_tiny --data cifar10 --recipe convnext-2022-small

Liu, Mao, Wu, Feichtenhofer, Darrell and Xie 2022 (arXiv:2201.03545), Appendix A.1, Table 5: 300
epochs of ImageNet-1K, where ConvNeXt-T reaches 82.1 % (Table 1).

The small form is a tenth of that length on images of 32 pixels in batches of 128. An adaptive rate
grows with the square root of the batch (Malladi et al. 2022, arXiv:2205.10287), crops are the
CIFAR ones, and the average reaches back over a tenth of the run, as the original's does.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation, Erasing, RandAugment, ResizedCrop
from convnets.recipes.recipe import Recipe
from convnets.training.settings import AdamW, Cosine

TABLE = "Liu et al. 2022, Table 5"
RAND_AUGMENT = RandAugment(
    operations=2, magnitude=9, maximum=10, deviation=0.5, probability=0.5, increasing=True
)

SOURCES = {
    "optimizer.betas": TABLE,
    "optimizer.weight_decay": TABLE,
    "optimizer.decay_vectors": "the authors' code: none on norms, biases and other vectors",
    "schedule.warmup": f"{TABLE}: 20 of 300 epochs, linear",
    "schedule.final": "the authors' code: down to 1e-6",
    "label_smoothing": f"{TABLE}: 0.1",
    "stochastic_depth": f"{TABLE}: 0.1 for ConvNeXt-T; 0.4 for S, 0.5 for B and L",
    "augmentation.flip": "the authors' code",
    "augmentation.rand_augment": f"{TABLE}: (9, 0.5); timm's rand-m9-mstd0.5-inc1",
    "augmentation.mixup": f"{TABLE}: 0.8",
    "augmentation.cutmix": f"{TABLE}: 1.0, one or the other with equal chance",
    "augmentation.erasing": f"{TABLE}: 0.25; area and ratio are timm's",
}

CONVNEXT_2022 = Recipe(
    name="convnext-2022",
    summary="ConvNeXt on ImageNet: AdamW, cosine, RandAugment, mixup and CutMix, average",
    year=2022,
    epochs=300,
    batch_size=4096,
    optimizer=AdamW(lr=4e-3, betas=(0.9, 0.999), weight_decay=0.05),
    schedule=Cosine(warmup=20 / 300, final=1e-6 / 4e-3),
    label_smoothing=0.1,
    stochastic_depth=0.1,
    ema_decay=0.9999,
    augmentation=Augmentation(
        resized_crop=ResizedCrop(),
        flip=True,
        rand_augment=RAND_AUGMENT,
        mixup=0.8,
        cutmix=1.0,
        erasing=Erasing(probability=0.25, area=(0.02, 1 / 3)),
    ),
    input_size=224,
    sources={
        **SOURCES,
        "epochs": f"{TABLE}: 300",
        "batch_size": f"{TABLE}: 4096; raise accumulation to what fits",
        "optimizer.lr": f"{TABLE}: 4e-3",
        "ema_decay": f"{TABLE}: 0.9999",
        "augmentation.resized_crop": "the authors' code: the crops of GoogLeNet",
        "input_size": f"{TABLE}: 224",
    },
)

CONVNEXT_2022_SMALL = Recipe(
    name="convnext-2022-small",
    summary="ConvNeXt's training at 32 pixels: a tenth of the epochs, batch 128",
    year=2022,
    epochs=30,
    batch_size=128,
    optimizer=AdamW(lr=7e-4, betas=(0.9, 0.999), weight_decay=0.05),
    schedule=Cosine(warmup=20 / 300, final=1e-6 / 4e-3),
    label_smoothing=0.1,
    stochastic_depth=0.1,
    ema_decay=0.999,
    augmentation=Augmentation(
        padding=4,
        padding_mode="zero",
        flip=True,
        rand_augment=RAND_AUGMENT,
        mixup=0.8,
        cutmix=1.0,
        erasing=Erasing(probability=0.25, area=(0.02, 1 / 3)),
    ),
    sources={
        **SOURCES,
        "epochs": "ours: a tenth of the paper's 300",
        "batch_size": "ours: 128, as He et al. 2015 on CIFAR",
        "optimizer.lr": f"{TABLE}, 4e-3, times the root of 128 / 4096 (Malladi et al. 2022)",
        "ema_decay": "ours: 1000 steps of 11,700, the share that 0.9999 has of the paper's 94,000",
        "augmentation.padding": "He et al. 2015, Section 4.2, for crops of a part of 32 pixels",
        "augmentation.padding_mode": "He et al. 2015, Section 4.2",
    },
)
