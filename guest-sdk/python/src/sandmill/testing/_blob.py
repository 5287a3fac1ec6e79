"""Objects in memory. What is written is there once it is finished, as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandmill._host import BlobObject
from sandmill.testing._base import Part, denied, fail, has_controls

KEY_BYTES_MAX = 1024
SEGMENT_BYTES_MAX = 255
READERS_MAX = 16
WRITERS_MAX = 4
CHUNK_BYTES_MAX = 1024 * 1024
PAGE_MAX = 1000


@dataclass(frozen=True)
class FakeObject:
    data: bytes
    content_type: str | None
    modified_ms: int


@dataclass
class _Reader:
    key: str
    found: FakeObject
    at: int = 0


@dataclass
class _Writer:
    key: str
    content_type: str | None
    data: bytearray = field(default_factory=bytearray)


class BlobPart(Part):
    def fake_blob(self, objects: Mapping[str, bytes | str] | None) -> None:
        self._has_blob = objects is not None
        self.objects: dict[str, FakeObject] = {}
        for key, data in (objects or {}).items():
            content = data.encode() if isinstance(data, str) else data
            self.objects[self._key(key)] = FakeObject(content, None, self.now_ms)

    def blob_get(self, key: str, /) -> int | None:
        found = self.objects.get(self._key(key))
        self._bounded(_Reader, READERS_MAX)
        return None if found is None else self._hold(_Reader(key, found))

    def blob_reader_info(self, reader: int, /) -> BlobObject:
        held = self._handles[reader]
        return _about(held.key, held.found)

    def blob_reader_read(self, reader: int, max: int, /) -> bytes | None:
        held = self._handles[reader]
        chunk = bytes(held.found.data[held.at : held.at + min(max, CHUNK_BYTES_MAX)])
        held.at += len(chunk)
        return chunk or None

    def blob_reader_drop(self, reader: int, /) -> None:
        self._drop(reader)

    def blob_put(self, key: str, content_type: str | None, /) -> int:
        self._bounded(_Writer, WRITERS_MAX)
        return self._hold(_Writer(self._key(key), content_type))

    def blob_writer_write(self, writer: int, data: bytes, /) -> None:
        if len(data) > CHUNK_BYTES_MAX:
            fail("too-large", f"a part has at most {CHUNK_BYTES_MAX} bytes")
        self._writer(writer).data.extend(data)

    def blob_writer_finish(self, writer: int, /) -> BlobObject:
        held = self._writer(writer)
        self._handles[writer] = None
        self.objects[held.key] = FakeObject(bytes(held.data), held.content_type, self.now_ms)
        return _about(held.key, self.objects[held.key])

    def blob_writer_drop(self, writer: int, /) -> None:
        self._drop(writer)

    def blob_stat(self, key: str, /) -> BlobObject | None:
        found = self.objects.get(self._key(key))
        return None if found is None else _about(key, found)

    def blob_delete(self, key: str, /) -> None:
        self.objects.pop(self._key(key), None)

    def blob_list(self, prefix: str, after: str | None, limit: int, /) -> list[BlobObject]:
        self._granted()
        begin = (after or "").encode()
        keys = sorted(key.encode() for key in self.objects if key.startswith(prefix) and key.encode() > begin)
        found = [key.decode() for key in keys[: min(limit, PAGE_MAX)]]
        return [(key, len(self.objects[key].data), self.objects[key].modified_ms, None) for key in found]

    def _key(self, key: str) -> str:
        self._granted()
        segments = key.split("/")
        wrong = any(segment in ("", ".", "..") or _stored_bytes(segment) > SEGMENT_BYTES_MAX for segment in segments)
        if wrong or len(key.encode(errors="replace")) > KEY_BYTES_MAX or "\\" in key or has_controls(key):
            fail("invalid", f"a key has 1 to {KEY_BYTES_MAX} bytes, of segments between slashes, none of them empty, `.` or `..`")
        return key

    def _granted(self) -> None:
        if not self._has_blob:
            denied("the object store", "blob={}")

    def _writer(self, writer: int) -> _Writer:
        held = self._handles.get(writer)
        if not isinstance(held, _Writer):
            fail("invalid", "the writer has ended")
        return held

    def _bounded(self, kind: type, most: int) -> None:
        if sum(isinstance(held, kind) for held in self._handles.values()) >= most:
            fail("too-large", f"a run has at most {READERS_MAX} readers and {WRITERS_MAX} writers open at once")


def _about(key: str, found: FakeObject) -> BlobObject:
    return key, len(found.data), found.modified_ms, found.content_type


def _stored_bytes(segment: str) -> int:
    return sum(1 if letter.isascii() else 3 * len(letter.encode(errors="replace")) for letter in segment)
