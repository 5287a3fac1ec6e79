"""Objects: bytes under keys, kept for the workspace. Granted by prefix and mode: `[grants] blob = ["read reports/", "write reports/daily/"]`.

All functions raise `BlobError`.
"""

import builtins
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from math import inf
from typing import Any, NamedTuple

from sandmill._host import BlobObject, Host, current, refused_as
from sandmill.context import moment
from sandmill.errors import BlobError
from sandmill.state import page_size

CHUNK_BYTES_MAX = 1024 * 1024
OBJECTS_PER_PAGE_MAX = 1000


class Info(NamedTuple):
    """`size` is in bytes, `modified` in UTC; `content_type` is missing in lists."""

    key: str
    size: int
    modified: datetime
    content_type: str | None


class Object:
    """An object that was found. It is read once, in one of these ways."""

    def __init__(self, reader: int, info: Info) -> None:
        self.info = info
        self._host = current()
        self._reader: int | None = reader

    def chunks(self) -> Iterator[bytes]:
        """Parts of at most 1 MiB."""
        if self._reader is None:
            raise ValueError("the object has already been read: get it again")
        reader, self._reader = self._reader, None
        return _Chunks(self._host, reader)

    def bytes(self) -> builtins.bytes:
        return b"".join(self.chunks())

    def text(self) -> str:
        """As UTF-8."""
        return self.bytes().decode()

    def json(self) -> Any:
        return json.loads(self.bytes())

    def close(self) -> None:
        """For one that is not read after all: a run has at most 16 open at once."""
        reader, self._reader = self._reader, None
        if reader is not None:
            self._host.blob_reader_drop(reader)

    def __enter__(self) -> "Object":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def get(key: str) -> Object | None:
    """`None` if nothing is there."""
    with refused_as(BlobError) as host:
        reader = host.blob_get(key)
        return None if reader is None else Object(reader, _info(host.blob_reader_info(reader)))


def put(key: str, data: str | bytes | bytearray | memoryview | Iterable[str | bytes], *, content_type: str | None = None) -> Info:
    """Replaces what is there, once all of `data` was written; if that fails nothing changes. Text is kept as UTF-8."""
    with refused_as(BlobError) as host:
        writer = host.blob_put(key, content_type)
    try:
        for chunk in [data] if isinstance(data, str | bytes | bytearray | memoryview) else data:
            view = memoryview(chunk.encode() if isinstance(chunk, str) else chunk).cast("B")
            for begin in range(0, len(view), CHUNK_BYTES_MAX):
                with refused_as(BlobError):
                    host.blob_writer_write(writer, bytes(view[begin : begin + CHUNK_BYTES_MAX]))
        with refused_as(BlobError):
            return _info(host.blob_writer_finish(writer))
    finally:
        host.blob_writer_drop(writer)


def stat(key: str) -> Info | None:
    """`None` if nothing is there."""
    with refused_as(BlobError) as host:
        facts = host.blob_stat(key)
    return None if facts is None else _info(facts)


def delete(key: str) -> None:
    """It is no error if nothing is there."""
    with refused_as(BlobError) as host:
        host.blob_delete(key)


def list(prefix: str = "", *, after: str | None = None, limit: float = inf) -> Iterator[Info]:
    """Objects whose keys begin with `prefix`, in the order of their bytes, after the key `after`; asked for by the thousand as the loop goes on."""
    while True:
        asked = page_size(limit, OBJECTS_PER_PAGE_MAX)
        with refused_as(BlobError) as host:
            page = host.blob_list(prefix, after, asked) if asked else []
        yield from map(_info, page)
        if not page or len(page) < asked:
            return
        after = page[-1][0]
        limit -= len(page)


def _info(facts: BlobObject) -> Info:
    key, size, modified_ms, content_type = facts
    return Info(key, size, moment(modified_ms), content_type)


class _Chunks(Iterator[bytes]):
    """No generator: one that is never begun would not drop the reader."""

    def __init__(self, host: Host, reader: int) -> None:
        self._host = host
        self._reader: int | None = reader

    def __next__(self) -> bytes:
        if self._reader is None:
            raise StopIteration
        with refused_as(BlobError):
            chunk = self._host.blob_reader_read(self._reader, CHUNK_BYTES_MAX)
        if chunk is None:
            self.__del__()
            raise StopIteration
        return chunk

    def __del__(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            self._host.blob_reader_drop(reader)
