"""Changes of files: of their bytes, of what they say, of how they are stored, of what they lead to."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["JUNK", "change_bytes", "change_json", "change_link", "change_safetensors", "change_text", "hostile_archive"]

Random = random.Random


class _System:
    """Runs a command when it is unpickled by a reader that runs code."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch CODE_WAS_RUN",)


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


JUNK: list[Callable[[], Any]] = [
    *(
        (lambda value=value: value)
        for value in (None, True, False, 0, -1, 1, 3, 1e308, -1e-300, 0.5, 2**31, 2**53, 2**63, 2**64, 10**30, -(10**9))
    ),
    *(
        (lambda value=value: value)
        for value in ("", "x", "../../canary/secret", "/etc/passwd", ".", "..", "a/b", "\0", "é\u202e", "[/]", "{seed}")
    ),
    lambda: "a" * 70_000,
    list,
    dict,
    lambda: [1, "a", None],
    lambda: {"a": {"b": []}},
    lambda: _nested(80),
    lambda: _nested(900),
    lambda: list(range(5000)),
    lambda: float("nan"),
    lambda: float("inf"),
]
"""Values that are seldom where a value is expected."""


def change_bytes(content: bytes, rng: Random) -> bytes:
    """Flip bits, cut, repeat, blank or insert."""
    data = bytearray(content)
    how = rng.randrange(7)
    if not data or how == 0:
        return (
            bytes(rng.randbytes(rng.randrange(64)))
            if rng.random() < 0.2
            else content[: rng.randrange(len(content) + 1)]
        )
    if how in (1, 2):
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(data)
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.choice((1, 8, 64, 4096)))
    if how == 3:
        data[start:stop] = bytes(stop - start)
    elif how == 4:
        data[start:stop] = b"\xff" * (stop - start)
    elif how == 5:
        data[start:start] = data[start:stop] if rng.random() < 0.5 else rng.randbytes(16)
    else:
        del data[start:stop]
    return bytes(data)


def change_json(value: Any, rng: Random) -> Any:
    """Change one or two places of nested lists and mappings."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 1, 2))):
        places: list[tuple[Any, Any]] = []
        stack = [value]
        while stack:
            item = stack.pop()
            keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
            places += [(item, key) for key in keys]
            stack += [item[key] for key in keys if isinstance(item[key], dict | list)]
        if not places:
            return rng.choice(JUNK)()
        holder, key = rng.choice(places)
        how = rng.randrange(8)
        if how == 0:
            del holder[key]
        elif how == 1 and isinstance(holder, dict):
            holder[rng.choice(("x", "../y", "", str(key) + "_", "a" * 300))] = holder.pop(key)
        elif how == 2:
            other, there = rng.choice(places)
            try:
                holder[key] = json.loads(json.dumps(other[there]))
            except (KeyError, IndexError):
                pass
        elif how == 3 and isinstance(holder[key], str):
            holder[key] = rng.choice(("../../canary/", "/", "")) + holder[key]
        else:
            holder[key] = rng.choice(JUNK)()
    return value


def change_text(text: str, rng: Random) -> str:
    """Change JSON or YAML as text: what no structure can say."""
    how = rng.randrange(9)
    lines = text.splitlines(keepends=True) or [""]
    if how == 0:
        return text + rng.choice(lines)
    if how == 1:
        return "[" * rng.choice((100, 5000, 200_000)) + text
    if how == 2:
        chain = "".join(f"{chr(98 + k)}: &{chr(98 + k)} [{','.join([f'*{chr(97 + k)}'] * 9)}]\n" for k in range(9))
        return "a: &a [x,x,x,x,x,x,x,x,x]\n" + chain + text
    if how == 3:
        return text.replace("1", "1" * rng.choice((30, 5000, 100_000)), 1)
    if how == 4:
        return text.replace(
            ": ", rng.choice((": !!int ", ": !!timestamp ", ": !!binary ", ": !!bool ", ": !!python/name:os ")), 1
        )
    if how == 5:
        return "".join(rng.sample(lines, len(lines)))
    if how == 6:
        return text.replace(
            "1", rng.choice(("NaN", "Infinity", ".inf", "1e999", "0x1", "1:1:1", "~", "*a")), rng.randrange(1, 3)
        )
    if how == 7:
        return "x: &x [*x]\n" + text
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(("{", "}", "]", ":", "\t", "\0", "\ufeff", "'", '"', "%", "&a", "- ")) + text[at:]


def change_safetensors(content: bytes, rng: Random) -> bytes:
    """Change the header of a safetensors file."""
    (size,) = struct.unpack("<Q", content[:8])
    header, rest = json.loads(content[8 : 8 + size]), content[8 + size :]
    if rng.random() < 0.1:
        return struct.pack("<Q", rng.choice((0, 7, 2**20, 2**40, 2**63))) + content[8:]
    meta = header.get("__metadata__")
    if meta and rng.random() < 0.5:
        inner = json.loads(meta["eiplatform"])
        meta["eiplatform"] = (
            json.dumps(change_json(inner, rng)) if rng.random() < 0.8 else change_text(meta["eiplatform"], rng)
        )
        if rng.random() < 0.5:  # as whoever means harm would
            meta["eiplatform"] = _hashed(meta["eiplatform"])
    else:
        names = [name for name in header if name != "__metadata__"]
        name = rng.choice(names)
        how = rng.randrange(6)
        if how == 0:
            header[name]["dtype"] = rng.choice(("F16", "BF16", "F64", "I8", "BOOL", "F8_E4M3", "C64", "X"))
        elif how == 1:
            header[name]["shape"] = rng.choice(([], [2**40], [0], [1] * 70, [-1], header[name]["shape"][::-1]))
        elif how == 2:
            header[name]["data_offsets"] = rng.choice(
                ([0, 8], [0, 2**60], [8, 0], header[rng.choice(names)]["data_offsets"])
            )
        elif how == 3:
            header[rng.choice(("x", "../x", "layers.fc9.weight"))] = header.pop(name)
        else:
            header = change_json(header, rng)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def _hashed(text: str) -> str:
    from eiplatform.config import config_hash

    try:
        meta = json.loads(text)
        meta["config_hash"] = config_hash(meta["config"])
        return json.dumps(meta)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return text


def change_link(path: Path, outside: Path, rng: Random, *, pipes: bool) -> None:
    """Put something else where a file was: a link, a folder, a pipe, nothing."""
    path.unlink()
    how = rng.randrange(5)
    if how == 0:
        path.symlink_to(outside / "secret.txt")
    elif how == 1:
        path.mkdir()
    elif how == 2 and pipes:
        os.mkfifo(path)
    elif how == 3:
        path.write_bytes(b"")


def hostile_archive(name: str, outside: Path, rng: Random) -> bytes:
    """Return an archive or a pickle that means harm: names that climb, links, devices, bombs, code."""
    content = io.BytesIO()
    if name.endswith(".pth"):
        import torch

        harm: Any = rng.choice((_System(), {"model_state_dict": {"x": torch.zeros(1).expand(2**40)}, "config": {}}))
        torch.save(harm, content)
        return content.getvalue() if rng.random() < 0.7 else pickle.dumps(_System())
    if name.endswith(".gz") and not name.endswith(".tar.gz"):
        return gzip.compress(bytes(2**20), 9) * rng.choice((1, 1500))
    if name.endswith(".zip"):
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("tiny/wnids.txt", rng.choice(("n01\nn02\n", "../..\nn02", "\xff", "0" * 2**27)))
            archive.writestr("tiny/val/val_annotations.txt", "../../../canary/secret.txt\tn02\n")
            archive.writestr("../../canary/secret.txt", "overwritten")
            archive.writestr("tiny/train/n01/images/n01_0.JPEG", rng.choice((b"", b"\xff\xd8\xff", b"0" * 2**27)))
        return content.getvalue()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for member, kind, link in (
            ("a.bin", tarfile.SYMTYPE, str(outside / "secret.txt")),
            ("b.bin", tarfile.LNKTYPE, "../../canary/secret.txt"),
            ("c.bin", tarfile.CHRTYPE, ""),
            ("../../canary/secret.txt", tarfile.REGTYPE, ""),
        ):
            info = tarfile.TarInfo(member)
            info.type, info.linkname = kind, link
            tar.addfile(info)
        for member in ("a.bin", "b.bin"):
            info = tarfile.TarInfo(f"batches/{member}")
            info.size = rng.choice((0, 3073, 2**28))
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    return content.getvalue()
