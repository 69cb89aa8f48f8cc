"""Tables of the hub's layout, and damaged ones."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from convnets.data import load_data
from convnets.errors import BadData
from tests.data.conftest import RANDOM, arrays


def hub_table(
    sizes: list[tuple[int, int]], *, form: str = "PNG", labels: list[int] | None = None
) -> tuple[pyarrow.Table, list[np.ndarray]]:
    """A table in the hub's layout, with class names in its metadata."""
    pixels = [RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    contents = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(image).save(file, form)
        contents.append({"bytes": file.getvalue(), "path": None})
    numbers = labels if labels is not None else [row % 2 for row in range(len(sizes))]
    table = pyarrow.table({"image": contents, "label": pyarrow.array(numbers, pyarrow.int64())})
    names = '{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}'
    return table.replace_schema_metadata({"huggingface": names}), pixels


def test_reads_any_hub_parquet(tmp_path: Path) -> None:
    for split, rows in (("train", 6), ("validation", 4)):
        table, pixels = hub_table([(9, 7)] * rows)
        pyarrow.parquet.write_table(table, tmp_path / f"{split}-00000-of-00001.parquet")
    found = load_data(str(tmp_path))
    assert found.classes == ("cat", "dog")
    assert np.array_equal(arrays(found.test).images, pixels)
    assert found.image_size == (9, 7)


def test_parquet_of_many_sizes_stays_encoded_and_splits_itself(tmp_path: Path) -> None:
    table, pixels = hub_table([(row + 5, 9) for row in range(20)])
    pyarrow.parquet.write_table(table, tmp_path / "pets.parquet")
    found = load_data(str(tmp_path / "pets.parquet"))
    assert (len(found.train), len(found.test)) == (16, 4)
    assert found.image_size is None
    seen = [found.train.image(row) for row in range(16)] + [
        found.test.image(row) for row in range(4)
    ]
    assert sorted(image.tobytes() for image in seen) == sorted(image.tobytes() for image in pixels)


@pytest.mark.parametrize(
    "table",
    [
        hub_table([(5, 5)] * 4, labels=[0, 1, 2, 0])[0],
        hub_table([(5, 5)] * 4, labels=[0, 1, -1, 0])[0],
        hub_table([(5, 5)] * 4)[0].rename_columns(["picture", "label"]),
        pyarrow.table({"image": [b"text"] * 4, "label": [0, 1, 0, 1]}),
        pyarrow.table({"image": [b"text", None], "label": [0, 1]}),
        pyarrow.table({"image": [b"text"] * 2, "label": [0.5, 1.5]}),
    ],
)
def test_bad_parquet_is_refused(tmp_path: Path, table: pyarrow.Table) -> None:
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(BadData, match="train"):
        load_data(str(tmp_path / "train.parquet"))


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and then nothing of the kind PAR1")
    with pytest.raises(BadData, match=r"train\.parquet"):
        load_data(str(tmp_path / "train.parquet"))
