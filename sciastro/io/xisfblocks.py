"""Data blocks of XISF files: where they lie, how they are packed, and their checksums.

XISF 1.0 specification (Pleiades Astrophoto, 2017), section 10: data blocks, compression, byte shuffling,
checksums. Every size is compared with what the image needs before anything is allocated.
"""

import base64
import binascii
import hashlib
import importlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciastro.errors import FileError

__all__ = ["CHECKSUMS", "CODECS", "Block", "pack", "parse_block", "read_block", "shuffled", "verify"]

CODECS = ("zlib", "lz4", "lz4hc", "zstd")
CHECKSUMS = {
    "sha-1": "sha1", "sha1": "sha1", "sha-256": "sha256", "sha256": "sha256", "sha-512": "sha512",
    "sha512": "sha512", "sha3-256": "sha3_256", "sha3-512": "sha3_512",
}  # fmt: skip
EXPANSION = {"zlib": 1100, "lz4": 260, "lz4hc": 260, "zstd": 1 << 17}
"""Bytes that one packed byte can become (zlib 1032, lz4 255): a claim beyond it is a lie."""
COPY = "Copy it again, or save it again with the program that made it."


@dataclass(frozen=True, slots=True)
class Block:
    """One data block.

    Attributes
    ----------
    offset, size
        Place in the file; offset None where the data stand in the header itself.
    inline
        Its bytes then, as stored.
    codec, item, unpacked
        Compression ("" none), bytes per item of shuffled data (1 not shuffled), size once unpacked.
    parts
        Packed and unpacked sizes of the pieces that were packed one by one; () for one piece.
    checksum
        Algorithm and hexadecimal digest of the bytes as stored; "" twice where there is none.
    """

    offset: int | None
    size: int
    inline: bytes = b""
    codec: str = ""
    item: int = 1
    unpacked: int = 0
    parts: tuple[tuple[int, int], ...] = ()
    checksum: tuple[str, str] = ("", "")


def parse_block(attributes: dict[str, str], text: str, where: str, file_size: int) -> Block:
    """Return the block that the attributes of an element describe.

    Parameters
    ----------
    text
        What the element holds: the data, where they are inline.

    Raises
    ------
    FileError
        If it lies outside of the file, or its compression is unknown or makes no sense.
    """
    kind, _, place = attributes.get("location", "").partition(":")
    inline, offset = b"", None
    try:
        if kind == "attachment":
            offset, size = (int(number) for number in place.split(":"))
        elif kind == "inline":
            inline = _decoded(text, place)
            size = len(inline)
        else:
            raise _damaged(f"keeps its pixels at '{kind or 'no place'}', not in the file itself.", where)
        if offset is not None and not 0 <= offset <= offset + size <= file_size:
            missing = offset + size - file_size
            raise FileError(
                f"is cut off: {missing} of the {size} bytes of its pixels are missing."
                if missing > 0 and offset >= 0 and size >= 0
                else "says that its pixels lie outside of the file.",
                where=where,
                remedy=COPY,
            )
        algorithm, _, digest = attributes.get("checksum", "").partition(":")
        plain = Block(offset, size, inline, unpacked=size, checksum=(algorithm.casefold(), digest.casefold()))
        return _with_compression(plain, attributes, where)
    except (ValueError, IndexError) as error:
        raise _damaged(f"has a data block that makes no sense ({error}).", where) from error


def _with_compression(block: Block, attributes: dict[str, str], where: str) -> Block:
    words = attributes.get("compression", "").split(":")
    if not words[0]:
        return block
    name, plus, shuffle = words[0].casefold().partition("+")
    if name not in CODECS or (plus and shuffle != "sh"):
        raise FileError(
            f"is compressed by '{words[0]}', which is not known.",
            where=where,
            remedy="Save it with zlib or without compression.",
        )
    unpacked, item = int(words[1]), int(words[2]) if plus else 1
    parts = tuple(
        (int(packed), int(open_))
        for packed, open_ in (part.split(",") for part in attributes.get("subblocks", "").split(":") if part)
    )
    whole = parts or ((block.size, unpacked),)
    if (
        unpacked < 0
        or not 1 <= item <= 16
        or any(packed < 0 or not 0 <= open_ <= packed * EXPANSION[name] for packed, open_ in whole)
        or sum(open_ for _, open_ in whole) != unpacked
        or sum(packed for packed, _ in whole) > block.size
    ):
        raise _damaged("has a compressed block whose sizes contradict each other.", where)
    return Block(block.offset, block.size, block.inline, name, item, unpacked, parts, checksum=block.checksum)


def _decoded(text: str, encoding: str) -> bytes:
    compact = "".join(text.split())
    try:
        return base64.b64decode(compact, validate=True) if encoding == "base64" else bytes.fromhex(compact)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _damaged(found: str, where: str) -> FileError:
    return FileError(found, where=where, remedy=COPY)


def read_block(path: Path, block: Block, wanted: int) -> bytes:
    """Return the unpacked bytes of a block, which must be `wanted` in number.

    Raises
    ------
    FileError
        If the size is another, the checksum does not fit, or the data cannot be unpacked.
    """
    if block.unpacked != wanted:
        raise _damaged(f"holds {block.unpacked} bytes of pixels where its size needs {wanted}.", str(path))
    if block.offset is None:
        stored = block.inline
    else:
        try:
            with path.open("rb") as file:
                file.seek(block.offset)
                stored = file.read(block.size)
        except OSError as error:
            raise _damaged(f"cannot be read: {error}.", str(path)) from error
    if len(stored) != block.size:
        raise _damaged("ended while its pixels were read.", str(path))
    verify(block, stored, str(path))
    if not block.codec:
        return stored
    pieces, at = [], 0
    for packed, unpacked in block.parts or ((block.size, block.unpacked),):
        pieces.append(_unpack(stored[at : at + packed], block.codec, unpacked, str(path)))
        at += packed
    return _unshuffled(b"".join(pieces), block.item)


def verify(block: Block, stored: bytes, where: str) -> None:
    """Check the digest of a block; algorithms that are not known are passed over, as the standard asks."""
    name = CHECKSUMS.get(block.checksum[0])
    if name and hashlib.new(name, stored, usedforsecurity=False).hexdigest() != block.checksum[1]:
        raise _damaged("is damaged: the checksum of its pixels does not fit them.", where)


def _module(name: str, where: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise FileError(
            f"is compressed in a way that needs the package {name.split('.', maxsplit=1)[0]}.",
            where=where,
            remedy='Install it: pip install "sciastro[xisf]".',
        ) from error


def _unpack(data: bytes, codec: str, size: int, where: str) -> bytes:
    if codec == "zlib":
        engine = zlib.decompressobj()
        try:
            out = engine.decompress(data, size + 1)
        except zlib.error as error:
            raise _damaged(f"cannot be unpacked ({error}).", where) from error
    else:
        module = _module("lz4.block" if codec.startswith("lz4") else "zstandard", where)
        failure: type[Exception] = module.ZstdError if codec == "zstd" else module.LZ4BlockError
        try:
            if codec == "zstd":
                if module.get_frame_parameters(data).content_size not in (size, module.CONTENTSIZE_UNKNOWN):
                    raise _damaged("has a compressed block of another size than it says.", where)
                out = module.ZstdDecompressor().decompress(data, max_output_size=max(size, 1))
            else:
                out = module.decompress(data, uncompressed_size=size) if size else b""
        except (failure, ValueError) as error:
            raise _damaged(f"cannot be unpacked ({error}).", where) from error
    if len(out) != size:
        raise _damaged(f"unpacks to {len(out)} bytes where it says {size}.", where)
    return out


def _unshuffled(data: bytes, item: int) -> bytes:
    """Return shuffled bytes in order: first all first bytes of the items, then all second ones, ..."""
    if item < 2:
        return data
    count = len(data) // item
    body = np.frombuffer(data, np.uint8, count * item).reshape(item, count)
    return np.ascontiguousarray(body.T).tobytes() + data[count * item :]


def shuffled(data: bytes, item: int) -> bytes:
    """Return bytes with the first bytes of all items first, then all second ones, ..."""
    if item < 2:
        return data
    count = len(data) // item
    body = np.frombuffer(data, np.uint8, count * item).reshape(count, item)
    return np.ascontiguousarray(body.T).tobytes() + data[count * item :]


def pack(data: bytes, codec: str, item: int, where: str) -> bytes:
    """Return `data` shuffled by `item` bytes and compressed."""
    ready = shuffled(data, item)
    if codec == "zlib":
        return zlib.compress(ready, 6)
    module = _module("lz4.block" if codec.startswith("lz4") else "zstandard", where)
    if codec == "zstd":
        return bytes(module.ZstdCompressor().compress(ready))
    mode = "high_compression" if codec == "lz4hc" else "default"
    return bytes(module.compress(ready, mode=mode, store_size=False))
