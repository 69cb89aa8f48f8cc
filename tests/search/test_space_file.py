"""A user's own space: read as written, or refused with the key at fault and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from convnets.errors import BadInput, ConvnetsError
from convnets.search.space_file import read_space


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_lists_stand_for_tuples(tmp_path: Path) -> None:
    text = """
    base = "convnext_tiny@stochastic_depth=0"
    [decisions]
    depths = [[1, 1, 3, 1], [2, 2, 6, 2]]
    widths = [[48, 96, 192, 384], "96-192-384-768"]
    """
    searched = read_space(written(tmp_path, text))
    assert (searched.name, searched.size) == ("mine", 4)
    name = searched.network((1, 0))
    assert name.endswith("depths=2-2-6-2,widths=48-96-192-384") or "depths=2-2-6-2" in name
    assert "widths" not in searched.network((1, 1)), "the row's own widths are no change"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "base: Field required"),
        ('base = "resnet20"', "decisions: Field required"),
        ('base = "resnet20"\n[decisions]', "decisions"),
        ('base = "resnet2"\n[decisions]\nwidth = [8, 16]', "unknown model 'resnet2'"),
        ('base = "resnet20"\n[decisions]\nwidht = [8, 16]', "'widht'"),
        ('base = "resnet20"\n[decisions]\nwidth = []', "width has no options"),
        ('base = "resnet20"\n[decisions]\nwidth = 8', "decisions.width"),
        ('base = "resnet20"\n[decisions]\nwidth = [8, "x"]', "width=x"),
        ('base = "resnet20"\n[decisions]\nshortcut = ["A", "D"]', "shortcut=D"),
        ('base = "resnet20"\nspeed = 3\n[decisions]\nwidth = [8, 16]', "speed"),
        ("base = ", "not valid TOML"),
        ("a" * 10 + "=" + "[" * 5000, "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_at_fault(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ConvnetsError, match="mine") as caught:
        read_space(written(tmp_path, text))
    assert caught.value.exit_code == 2
    assert reason in str(caught.value)


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.toml: cannot read"):
        read_space(tmp_path / "none.toml")
