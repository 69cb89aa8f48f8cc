"""Deep Compression, measured: networks against themselves before, in size and error, over seeds.

    python -m benchmarks.compression lenet5_caffe [--seeds 3] [--out results/compression]
    python -m benchmarks.compression lenet5_caffe --choose

For each seed a network is trained on the whole training split, compressed in each way of its
experiment, and tested before and after on the test split. Shares, bits and rates were chosen with
``--choose``, which trains on all but the last 5,000 training images and tests on those: the test
split had no part in it. What is finished, a run, a stage or a file, is not done again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from convnets import runs
from convnets.compress import Compressed, Observer, Settings, compress, load_any
from convnets.data import ImageArrays, ImageSet, load_data
from convnets.data.augment import Augmentation
from convnets.data.sets import image_set
from convnets.files import atomic_write, read_json, to_json
from convnets.recipes import load_recipe, with_changes
from convnets.report.format import plural
from convnets.runs.machine import this_machine
from convnets.training.engine import choose_engine
from convnets.training.settings import AdamW, Cosine, Optimisation

HELD_OUT = 5_000


@dataclass(frozen=True)
class Way:
    """How a network is compressed, trained or as another way has left it."""

    settings: Settings
    after: str | None = None


@dataclass(frozen=True)
class Experiment:
    """A network's data, what its training changes of the baseline recipe, and the ways."""

    data: str
    reference: tuple[str, ...]
    ways: dict[str, Way]


def training(epochs: int, rate: float) -> Optimisation:
    """The baseline's training at another rate, the weights averaged."""
    return Optimisation(
        epochs=epochs,
        batch_size=128,
        optimizer=AdamW(lr=rate),
        schedule=Cosine(),
        clip_norm=1.0,
        ema_decay=0.998,
    )


def lenet(keep: dict[str, float], **changes: Any) -> Settings:
    """LeNet-5's settings: what each layer keeps, and what else one way has of its own."""
    return Settings(
        keep=tuple(keep.items()),
        half=True,
        pruning=training(3, 2e-3),
        sharing=training(1, 3e-4),
        augmentation=Augmentation(padding=2, padding_mode="zero"),
        **changes,
    )


def resnet(keep: float, bits: int) -> Settings:
    """A small ResNet's settings: the first and the last layer keep most."""
    return Settings(
        keep=(("*", keep), ("*.stem.*", 0.8), ("head.*", 0.6)),
        half=True,
        rounds=1,
        conv_bits=bits,
        linear_bits=bits,
        pruning=training(2, 1e-3),
        sharing=training(1, 2e-4),
        augmentation=Augmentation(padding=4, padding_mode="zero", flip=True),
    )


EXPERIMENTS = {
    "lenet5_caffe": Experiment(
        data="mnist",
        reference=("epochs=8", "input_size=28", "augmentation.padding=2"),
        ways={
            "as accurate": Way(
                lenet(
                    {"*.stage1.*": 0.5, "head.fc1": 0.025, "head.output": 0.5},
                    rounds=2,
                    conv_bits=5,
                    linear_bits=4,
                )
            ),
            "smaller": Way(
                lenet(
                    {"*.stem.*": 0.8, "*.stage1.*": 0.3, "head.fc1": 0.01, "head.output": 0.4},
                    rounds=1,
                    conv_bits=4,
                    linear_bits=3,
                ),
                after="as accurate",
            ),
        },
    ),
    "resnet20": Experiment(
        data="cifar10",
        reference=("epochs=6",),
        ways={"as accurate": Way(resnet(0.4, 5))},
    ),
}


class Lines(Observer):
    """A line for each stage."""

    def note(self, text: str) -> None:
        print(f"  {text}", flush=True)


def held_out(whole: ImageSet) -> ImageSet:
    """A set whose test split is the last images of the training split."""
    train = whole.train
    assert isinstance(train, ImageArrays)
    parts = (
        ImageArrays(train.images[part], train.labels[part])
        for part in (slice(None, -HELD_OUT), slice(-HELD_OUT, None))
    )
    return image_set(whole.name, whole.classes, *parts, licence=whole.licence, source=whole.source)


def measure(model: str, images: ImageSet, seed: int, work: Path) -> dict[str, Compressed]:
    """Each way's result for one seed; what lies in ``work`` already is read."""
    experiment = EXPERIMENTS[model]
    engine = choose_engine("cpu")
    recipe = with_changes(load_recipe("baseline"), list(experiment.reference))
    reference = runs.train(model, images, recipe, seed=seed, out=work, engine=engine)
    files = {None: work / reference.run}
    found = {}
    for name, way in experiment.ways.items():
        files[name] = work / f"{reference.run}-{name.replace(' ', '-')}.cnz"
        record = files[name].with_suffix(".json")
        if not record.exists():
            files[name].unlink(missing_ok=True)  # written, but cut off before its record was
            done = compress(
                load_any(files[way.after]),
                images,
                way.settings.model_copy(update={"seed": seed}),
                files[name],
                engine=engine,
                observer=Lines(),
            )
            done = done.model_copy(update={"top1_before": reference.top1})
            atomic_write(record, done.model_dump_json(indent=2) + "\n")
        found[name] = Compressed.model_validate(read_json(record))
        print(f"seed {seed}, {name}: {in_words(found[name])}", flush=True)
    return found


def wrong(share: float, done: Compressed) -> int:
    """Test images called wrong at a top-1 share."""
    return round((1 - share) * done.test_images)


def in_words(done: Compressed) -> str:
    """One result as a line."""
    before, after = (wrong(share, done) for share in (done.top1_before, done.top1_after))
    return (
        f"{done.file_bytes:,} bytes, {done.rate:.1f} times smaller; of {done.test_images:,} images "
        f"{before} wrong before, {after} after"
    )


def summary(results: list[Compressed]) -> dict[str, Any]:
    """One way over seeds: what was kept, sizes, errors in percent, and how they spread."""
    before = [100 * (1 - done.top1_before) for done in results]
    after = [100 * (1 - done.top1_after) for done in results]
    return {
        "seeds": [done.settings.seed for done in results],
        "kept": statistics.mean(done.kept for done in results),
        "file_bytes": [done.file_bytes for done in results],
        "times_smaller": [done.rate for done in results],
        "error_before": before,
        "error_after": after,
        "no_worse": [done.top1_after >= done.top1_before for done in results],
    }


def spread(values: list[float]) -> str:
    """The mean over seeds and, where there are several, their deviation."""
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def markdown(title: str, record: dict[str, Any]) -> str:
    """The summaries, and the layers of each way's first seed in the columns of Table 4."""
    lines = [
        f"# {title}",
        "",
        f"`{record['command']}` on {record['machine']['processor']}, "
        f"torch {record['machine']['versions']['torch']}, one thread.",
        "",
        "| way | kept % | bytes | times smaller | error % before | error % after | no worse |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for way, each in record["summaries"].items():
        lines.append(
            f"| {way} | {100 * each['kept']:.1f} | {max(each['file_bytes']):,} "
            f"| {min(each['times_smaller']):.1f} "
            f"| {spread(each['error_before'])} | {spread(each['error_after'])} "
            f"| {sum(each['no_worse'])} of {len(each['no_worse'])} |"
        )
    for way, results in record["results"].items():
        lines += [
            "",
            f"## {way}, seed {results[0]['settings']['seed']}",
            "",
            *layer_table(results[0]),
        ]
    return "\n".join(lines) + "\n"


def layer_table(done: dict[str, Any]) -> list[str]:
    """The columns of the paper's Table 4."""
    lines = [
        "| layer | weights | kept % | weight bits | with Huffman | index bits | with Huffman "
        "| of float32 % | with Huffman |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for layer in done["layers"]:
        float32 = 4 * layer["weights"]
        index = ["–", "–"]
        if layer["index_bits"] is not None:
            index = [f"{layer['index_bits']}", f"{layer['index_bits_coded']:.1f}"]
        lines.append(
            f"| {layer['name']} | {layer['weights']:,} | {100 * layer['kept']:.1f} "
            f"| {layer['weight_bits']} | {layer['weight_bits_coded']:.1f} "
            f"| {index[0]} | {index[1]} "
            f"| {100 * layer['packed'] / float32:.2f} | {100 * layer['coded'] / float32:.2f} |"
        )
    return lines


def main() -> None:
    """Measure, print a line a result, and write a record and a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--choose", action="store_true", help="test on held-out training images")
    parser.add_argument("--work", type=Path, default=Path("out/compression"))
    parser.add_argument("--out", type=Path, default=Path("results/compression"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = load_data(EXPERIMENTS[arguments.model].data)
    name = f"{arguments.model}-{images.name}"
    if arguments.choose:
        images, name = held_out(images), f"{name}-held-out"
    found = [
        measure(arguments.model, images, seed, arguments.work / name)
        for seed in range(arguments.seeds)
    ]
    ways = EXPERIMENTS[arguments.model].ways
    record = {
        "command": " ".join(["python -m benchmarks.compression", *sys.argv[1:]]),
        "machine": this_machine().model_dump(),
        "summaries": {way: summary([each[way] for each in found]) for way in ways},
        "results": {way: [each[way].model_dump(mode="json") for each in found] for way in ways},
    }
    atomic_write(arguments.out / f"{name}.json", to_json(record) + "\n")
    atomic_write(
        arguments.out / f"{name}.md", markdown(f"{name}, {plural(len(found), 'seed')}", record)
    )


if __name__ == "__main__":
    main()
