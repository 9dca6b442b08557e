"""Readers of the files of image data sets: IDX, CIFAR's binary version, folders of JPEG files."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Sequence

import numpy as np

from eiplatform.datasets.base import DataInfo, Split
from eiplatform.datasets.files import Files
from eiplatform.errors import EIPlatformError
from eiplatform.untrusted import is_plain, reading

__all__ = ["read_cifar", "read_cifar_split", "read_idx", "read_idx_split", "read_tiny_imagenet_split"]


def read_idx(content: bytes, where: str = "IDX data") -> np.ndarray:
    """Parse the IDX format of MNIST-like data sets (unsigned bytes only).

    Parameters
    ----------
    content : bytes
        Uncompressed.
    where : str
        Named in errors.

    Returns
    -------
    array of uint8
        With the shape that the header gives.

    Raises
    ------
    EIPlatformError
        If the header is another one or the length does not fit it.

    Examples
    --------
    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])).tolist()
    [7, 9]
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not content[3]:
        raise EIPlatformError("this is not IDX data of unsigned bytes", where=where)
    n_dims = content[3]
    start = 4 + 4 * n_dims
    if len(content) < start:
        raise EIPlatformError("the IDX header is cut short", where=where)
    shape = struct.unpack(f">{n_dims}I", content[4:start])
    if n_dims > 4 or len(content) - start != math.prod(shape):
        raise EIPlatformError(f"{len(content) - start} bytes follow an IDX header of shape {shape}", where=where)
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def read_idx_split(files: Files, part: str, first_id: int) -> Split:
    """Read ``<part>-images-idx3-ubyte`` and its labels."""
    name = f"{part}-images-idx3-ubyte"
    pixels = read_idx(files.content(name), name)
    name = f"{part}-labels-idx1-ubyte"
    labels = read_idx(files.content(name), name)
    if pixels.shape[1:] != files.info.input_shape[1:] or labels.ndim != 1:
        raise EIPlatformError(f"images of shape {pixels.shape} and labels of shape {labels.shape}", where=name)
    return Split(pixels[:, None], labels, np.arange(first_id, first_id + len(labels)), 255)


def read_cifar(content: bytes, label_bytes: int, where: str = "CIFAR data") -> tuple[np.ndarray, np.ndarray]:
    """Parse CIFAR's binary version: per image its label bytes, then 1024 red, green and blue pixels.

    Parameters
    ----------
    content : bytes
    label_bytes : int
        1 (CIFAR-10) or 2 (CIFAR-100: coarse, fine); the last one is the label.
    where : str
        Named in errors.

    Returns
    -------
    images : array of uint8, shape (n, 3, 32, 32)
    labels : array of uint8, shape (n,)

    Raises
    ------
    EIPlatformError
        If the length is not a whole number of records.

    Examples
    --------
    >>> images, labels = read_cifar(bytes([7]) + bytes(3072), 1)
    >>> images.shape, labels.tolist()
    ((1, 3, 32, 32), [7])
    """
    record = label_bytes + 3072
    if not content or len(content) % record:
        raise EIPlatformError(f"{len(content)} bytes are not a whole number of records of {record} bytes", where=where)
    table = np.frombuffer(content, dtype=np.uint8).reshape(-1, record)
    return table[:, label_bytes:].reshape(-1, 3, 32, 32), table[:, label_bytes - 1]


def read_cifar_split(files: Files, names: Sequence[str], label_bytes: int, first_id: int) -> Split:
    """Read several files of records, in this order."""
    parts = [read_cifar(content, label_bytes, name) for name, content in files.contents(names).items()]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Split(images, labels, np.arange(first_id, first_id + len(labels)), 255)


def read_tiny_imagenet_split(files: Files, info: DataInfo, part: str, first_id: int) -> Split:
    """Read the JPEG files of ``train`` or, as the test split, of ``val``.

    Classes are the sorted WordNet ids of ``wnids.txt``; grey images become RGB.
    """
    wnids = sorted(_ascii(files, "wnids.txt").split())
    classes = {wnid: number for number, wnid in enumerate(wnids)}
    if len(classes) != info.n_classes:
        raise EIPlatformError(f"wnids.txt lists {len(classes)} classes", where=info.name, valid=str(info.n_classes))
    if part == "train":
        chosen = [
            (name, classes[name.split("/")[1]])
            for name in sorted(files.names("train/"))
            if name.upper().endswith(".JPEG") and name.split("/")[1] in classes
        ]
    else:
        rows = [line.split() for line in _ascii(files, "val/val_annotations.txt").splitlines()]
        wrong = [row for row in rows if len(row) < 2 or not is_plain(row[0]) or row[1] not in classes]
        if wrong:
            raise EIPlatformError(f"the line {' '.join(wrong[0])[:80]!r} names no image and class", where=info.name)
        chosen = sorted((f"val/images/{file}", classes[wnid]) for file, wnid, *_ in rows)
    expected = files.entry["samples"][part != "train"]
    if len(chosen) != expected:
        raise EIPlatformError(
            f"there are {len(chosen)} images of the {part} split", where=info.name, valid=str(expected)
        )
    images = np.empty((len(chosen), *info.input_shape), dtype=np.uint8)
    for row, (name, _) in enumerate(chosen):
        images[row] = _jpeg(files.raw(name), name, info.input_shape)
    files.record(f"{part} images", images, np.array([label for _, label in chosen], dtype=np.int64))
    labels = np.array([label for _, label in chosen])
    return Split(images, labels, np.arange(first_id, first_id + len(labels)), 255)


def _ascii(files: Files, name: str) -> str:
    with reading(name, what="this is not a text file", error=EIPlatformError):
        return files.content(name).decode("ascii")


def _jpeg(content: bytes, name: str, shape: tuple[int, ...]) -> np.ndarray:
    from PIL import Image

    with (
        reading(name, what="this is not a JPEG image", error=EIPlatformError),
        Image.open(io.BytesIO(content), formats=("JPEG",)) as image,
    ):
        if image.size != (shape[2], shape[1]):  # before it is decoded
            raise EIPlatformError(f"the image has {image.size} pixels", where=name, valid=f"({shape[2]}, {shape[1]})")
        pixels = np.asarray(image.convert("RGB"))
    return pixels.transpose(2, 0, 1)
