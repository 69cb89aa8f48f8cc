"""What importing costs, and what the source may not do: read from its syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import convnets

SOURCE = Path(convnets.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
PEERS = {"torchvision", "timm", "kornia", "captum", "sklearn", "pytorchcv"}

CODE_RUNNERS = {
    *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("yaml", "subprocess", "ctypes", "code", "runpy"),
}
CALLS = {
    *("eval", "exec", "compile", "__import__", "print"),
    *("torch.load", "torch.save", "torch.jit.load", "torch.export.load", "dcp.load"),
    *("os.system", "os.popen"),
}
METHODS = {"extractall", "full_load", "unsafe_load", "load_state_dict_from_url", "write_text"}
METHODS |= {"write_bytes"}
KEYWORDS = {"shell": True, "allow_pickle": True, "weights_only": False, "trust_remote_code": True}
ALLOWED = {
    ("data/cifar.py", "import pickle"),  # the official Python archive, five harmless names
    ("memory.py", "import ctypes"),  # mallopt of the C library already loaded
    ("weights/torch_file.py", "import subprocess"),  # itself, as a guarded child
    ("weights/torch_file.py", "torch.load"),  # with weights_only, in that child
}


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of an attribute chain of names, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules that the code imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def suspicious(text: str) -> set[str]:
    """Constructs that could run foreign code, print, or write a file by another way than ours."""
    tree = ast.parse(text)
    found = {f"import {name}" for name in imported(tree) if name.split(".")[0] in CODE_RUNNERS}
    found |= {f"import {name}" for name in imported(tree) if name.startswith("torch.hub")}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in CALLS or name.startswith("torch.hub."):
            found.add(name)
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            found.add(node.func.attr)
        if name in ("open", "io.open", "os.fdopen") or name.endswith(".open"):
            modes = [*node.args[:2], *(k.value for k in node.keywords if k.arg == "mode")]
            for mode in modes:
                value = mode.value if isinstance(mode, ast.Constant) else None
                if isinstance(value, str) and len(value) < 4 and set(value) & set("wax+"):
                    found.add(f"open for {value}")
        for keyword in node.keywords:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if keyword.arg in KEYWORDS and value is KEYWORDS[keyword.arg]:
                found.add(f"{keyword.arg}={value}")
    return found


def test_importing_and_asking_for_help_load_no_torch() -> None:
    code = "import sys, convnets, convnets.cli; print('torch' in sys.modules)"
    assert run(code) == "False\n"
    code = (
        "import sys; from convnets.cli import main; code = main(['--help']);"
        "print(code, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    text = run(code)
    assert text.endswith("0 False False\n")
    assert all(verb in text for verb in ("bench", "train", "evaluate", "predict", "models"))


def test_help_answers_at_once() -> None:
    seconds = []
    for _ in range(3):
        begun = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "convnets", "--help"], check=True, stdout=subprocess.DEVNULL
        )
        seconds.append(time.monotonic() - begun)
    assert min(seconds) < 2


def test_names_of_the_package_are_loaded_on_use() -> None:
    assert set(dir(convnets)) == set(convnets.__all__)
    for name in convnets.__all__:
        assert getattr(convnets, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'create_modle'"):
        convnets.create_modle  # noqa: B018


def test_there_is_source_to_look_at() -> None:
    assert len(FILES) > 50
    assert SOURCE / "files.py" in FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_source_imports_no_peer_and_runs_nothing_foreign(path: Path) -> None:
    text = path.read_text("utf-8")
    name = path.relative_to(SOURCE).as_posix()
    assert not {module.split(".")[0] for module in imported(ast.parse(text))} & PEERS
    assert {found for found in suspicious(text) if (name, found) not in ALLOWED} == set()


def test_files_are_written_in_one_module() -> None:
    """The others open Linux's own memory counter, and /dev/null."""
    writers = {
        path.relative_to(SOURCE).as_posix()
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("O_WRONLY", "O_RDWR", "O_CREAT")
    }
    assert writers == {"files.py", "memory.py", "cli/__init__.py"}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from yaml import load",
        "from torch.hub import load",
        "def f():\n    import subprocess",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.hub.load('a/b', 'c')",
        "np.load(path, allow_pickle=True)",
        "eval('1')",
        "exec(text)",
        "os.system('true')",
        "archive.extractall(target)",
        "run('true', shell=True)",
        "print('hello')",
        "open(path, 'w')",
        "path.open('ab')",
        "open(path, mode='r+')",
        "path.write_text('x')",
    ],
)
def test_the_gate_sees_what_it_is_for(text: str) -> None:
    assert suspicious(text)


@pytest.mark.parametrize(
    "text",
    [
        "open(path, 'rb')",
        "re.compile('a')",
        "torch.compile(model)",
        "np.load(file, allow_pickle=False)",
        "model.eval()",
        "os.open(path, os.O_RDONLY)",
    ],
)
def test_the_gate_lets_harmless_code_pass(text: str) -> None:
    assert not suspicious(text)
