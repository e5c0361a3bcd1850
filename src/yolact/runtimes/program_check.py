"""Whether a `.pt2` file holds a program of tensor operations and nothing else.

PyTorch's own loader is not made for files of strangers: it unpickles, evaluates expressions as Python, writes names
into source code that it runs, resolves any function of `torch`, and loads libraries that lie in the archive. So the
file is read here, each text in it is held to what an exported network needs, and the loader is given what was checked.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARTS = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/\w+|extra/\w+|models/model\.json"
    r"|data/(weights/(weight_\d+|model_weights_config\.json)|constants/(tensor_\d+|model_constants_config\.json))"
    r"|data/sample_inputs/model\.pt",
    re.ASCII,
)
"""Of the archive. Compiled libraries and pickled objects would lie elsewhere in it."""

OPERATIONS = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|torch\.ops\.higher_order\.cond|torch\.sym_\w+|math\.(ceil|floor|trunc)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_|not_)",
    re.ASCII,
)
TOUCHING_FILES = re.compile(r"file|save|load|open|print|warn")

PLAIN = re.compile(r"[\w.+-]*", re.ASCII)
"""Names, versions. Without brackets, quotes and signs of assignment, text is nothing in Python that does anything."""

EXPRESSION = re.compile(r"[\w(),'= -]*", re.ASCII)
WORDS = re.compile(
    "Symbol|Integer|Add|Mul|Mod|FloorDiv|CleanDiv|CeilDiv|Max|Min|PythonMod|Eq|Ne|Lt|Le|Gt|Ge|StrictLessThan|LessThan"
    r"|StrictGreaterThan|GreaterThan|positive|integer|nonnegative|True|[su]\d+|\d+",
    re.ASCII,
)

TREES = frozenset((None, "builtins.tuple", "builtins.list", "builtins.dict"))


def checked_program(path: Path) -> io.BytesIO:
    """The archive with what was checked, for `torch.export.load`.

    Raises:
        ValueError: there is something in it that no exported network needs.
        Exception: it is damaged; zipfile, json and torch raise what they like.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _refuse_entries(entries, path.stat().st_size)
        contents = {entry.filename: archive.read(entry) for entry in entries}
    for name, content in contents.items():
        if name.endswith("_config.json"):
            table = json.loads(content).get("config", {})
            if any(entry.get("use_pickle", True) for entry in table.values()):
                raise ValueError("it holds pickled objects, which could run code")
        elif name.endswith("model.pt"):
            _refuse_objects(content)
        elif name.endswith("model.json"):
            program = json.loads(content)
            if program.get("guards_code"):
                raise ValueError("it holds Python code")
            _check(program)
    # Anew, as readers of such archives may disagree on what is in one that was made to be read in two ways.
    checked = io.BytesIO()
    with zipfile.ZipFile(checked, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    checked.seek(0)
    return checked


def _refuse_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    names = [entry.filename for entry in entries]
    if len({name.partition("/")[0] for name in names}) != 1 or len(set(names)) < len(names):
        raise ValueError("it is no archive of one program")
    for name in names:
        if not PARTS.fullmatch(name.partition("/")[2]):
            raise ValueError(f"it holds {name.partition('/')[2]!r}, which could run code")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or sum(e.file_size for e in entries) > size:
        raise ValueError("it is compressed, and torch.export.save compresses nothing")


def _refuse_objects(content: bytes) -> None:
    """The loader would try again with pickles that run code."""
    import torch

    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception:
        raise ValueError("it holds pickled objects, which could run code") from None


def _check(program: Any) -> None:
    for key, text in _texts(program):
        if key == "expr_str":
            words = re.findall(r"\w+", text, re.ASCII)
            fine = EXPRESSION.fullmatch(text) and all(map(WORDS.fullmatch, words))
        elif key in ("target", "as_operator"):
            fine = OPERATIONS.fullmatch(text) and not TOUCHING_FILES.search(text)
        elif key == "as_string":
            fine = re.fullmatch(r"[a-z_]*", text, re.ASCII)
        elif key in ("in_spec", "out_spec", "context"):
            inner = json.loads(text)
            fine = all(tree in TREES for tree in _types(inner))
            _check(inner)
        else:
            fine = PLAIN.fullmatch(text)
        if not fine:
            raise ValueError(f"it says {text[:60]!r}, which could run code")


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each text, with the key that it stands under; keys, too."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield "", name
            yield from _texts(item, name)


def _types(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _types(item)
    elif isinstance(value, dict):
        if "children_spec" in value:
            yield value.get("type")
        for item in value.values():
            yield from _types(item)
