"""What a picture says of itself: the figure, the result and recordings with their hashes, the run, and the command."""

from __future__ import annotations

import os.path
import re
import zlib
from collections.abc import Callable
from html import unescape
from pathlib import Path

import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.store.identity import origin

__all__ = ["FORMATS", "embedded", "origin_of_picture", "told"]

FORMATS = (".png", ".pdf", ".svg")
_MOST_BYTES = 2**26
_PDF = {"Title": "figure", "Subject": "result", "Keywords": "recordings", "Creator": "command"}
_SVG = {"title": "figure", "identifier": "result", "source": "recordings", "description": "command"}
_PNG = {"Title": "figure", "Result": "result", "Source": "recordings", "Command": "command"}


def embedded(
    name: str, result: xr.Dataset, kind: str, *, stem: str | None = None, directory: Path | None = None
) -> dict[str, str | None]:
    """Return the metadata with which a figure names its result, recordings and command, for ``savefig``.

    Parameters
    ----------
    name : str
        Of the figure.
    result : xarray.Dataset
        What it draws.
    kind : {"png", "pdf", "svg"}
        Each format has its own keys: text chunks, the information dictionary, Dublin Core.
    stem : str, optional
        Name of the file, if it is another one.
    directory : Path, optional
        Where the picture goes.

    Returns
    -------
    dict
        Without a date, so that the same figure is the same file.
    """
    about = origin(result)
    made = f"{about['result']}, sha256 {about['result_sha256']}"
    return told(kind, stem or name, made, about.get("recordings", "not stated"), _command(name, result, directory))


def told(kind: str, title: str, made: str, source: str, how: str) -> dict[str, str | None]:
    """Return metadata in the keys of a format.

    Parameters
    ----------
    kind : {"png", "pdf", "svg"}
    title, made, source, how : str
        Name of the picture, results with their hashes, recordings with theirs, the command.
    """
    if kind == "png":
        return {"Title": title, "Result": made, "Source": source, "Command": how}
    if kind == "pdf":
        held = {"Title": title, "Subject": f"result: {made}", "Keywords": f"recordings: {source}"}
        return {**held, "Creator": f"eiplatform: {how}", "CreationDate": None}
    return {"Title": title, "Identifier": made, "Source": source, "Description": how, "Date": None}


def _command(name: str, result: xr.Dataset, directory: Path | None) -> str:
    """Return how to make the figure again, from the folder of the run where the result was read from a file."""
    analysis, source = result.attrs.get("analysis", ""), result.encoding.get("source")
    if not source or not str(source).endswith(".nc"):
        first = f"eiplatform analyse {analysis} RECORDINGS --out {analysis}.nc"
        return f"{first} && eiplatform figures {analysis}.nc --only {name} --out figures"
    file = Path(str(source)).resolve()
    out = file.parent / "figures" if directory is None else directory.resolve()
    base = Path(os.path.commonpath([file.parent, out]))
    if base == Path(base.anchor) or len(base.parts) < 3:  # nothing in common: a path of this machine says nothing
        return f"eiplatform figures {file.name} --only {name} --out {out.name}"
    target = out.relative_to(base).as_posix() if out != base else "."
    return f"cd {base.name} && eiplatform figures {file.relative_to(base).as_posix()} --only {name} --out {target}"


def origin_of_picture(path: str | Path) -> dict[str, str]:
    """Read from a picture what it was made from.

    Parameters
    ----------
    path : str or Path
        PNG, PDF or SVG that eiplatform wrote.

    Returns
    -------
    dict
        ``figure``, ``result`` (the analysis and its SHA-256), ``recordings`` (with their hashes) and ``command``.

    Raises
    ------
    StoreError
        If the file is missing, or says nothing of eiplatform.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], dict[str, str]]] = {".png": _of_png, ".pdf": _of_pdf, ".svg": _of_svg}
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        raise StoreError("this picture does not exist, or is too large", where=str(path), valid=FORMATS)
    found = readers[path.suffix.lower()](path)
    if "sha256 " not in found.get("result", ""):
        raise StoreError("this picture does not say that eiplatform made it", where=str(path), valid=FORMATS)
    return {key: found[key] for key in ("figure", "result", "recordings", "command") if key in found}


def _of_png(path: Path) -> dict[str, str]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            held = dict(getattr(image, "text", {}))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise StoreError(f"this is not a PNG ({error})", where=str(path)) from error
    return {word: str(held[key]) for key, word in _PNG.items() if key in held}


def _of_svg(path: Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    found = {}
    for key, word in _SVG.items():
        if match := re.search(rf"<dc:{key}>(.*?)</dc:{key}>", text, re.DOTALL):
            found[word] = unescape(match[1]).strip()
    return found


def _of_pdf(path: Path) -> dict[str, str]:
    raw = path.read_bytes()
    parts = [raw]
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", raw, re.DOTALL):
        try:
            parts.append(zlib.decompressobj().decompress(stream, 2**22))
        except zlib.error:
            continue
    found: dict[str, str] = {}
    for key, word in _PDF.items():
        for part in parts:
            match = re.search(rf"/{key} (\((?:\\.|[^\\)])*\)|<[0-9A-Fa-f]*>)".encode(), part, re.DOTALL)
            if match and word not in found:
                found[word] = _pdf_text(match[1]).partition(": ")[2] if key != "Title" else _pdf_text(match[1])
    return found


def _pdf_text(token: bytes) -> str:
    """Return the text of a literal or hexadecimal string of a PDF."""
    if token.startswith(b"<"):
        data = bytes.fromhex(token[1:-1].decode())
    else:
        escapes = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}

        def plain(match: re.Match[bytes]) -> bytes:
            body = match[1]
            return bytes([int(body, 8) & 255]) if body.isdigit() else escapes.get(body, body)

        data = re.sub(rb"\\([0-7]{1,3}|.)", plain, token[1:-1], flags=re.DOTALL)
    return data.decode("utf-16") if data[:2] in (b"\xfe\xff", b"\xff\xfe") else data.decode("latin-1")
