"""The clip store: the face frames of clips, packed a shard a file, read at random.

A shard is an Arrow IPC file with one record batch a clip, whose columns are `clip` (string),
`frames` (list of large_binary: one JPEG a frame, quality 95, 4:4:4) and `crc32` (list of uint32:
see `checksum`). It is mapped into memory, so that many processes share one copy in the page cache,
and a frame costs its decoding only.
"""

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import simplejpeg

from dfer.errors import UserError
from dfer.files import atomic, check_readable

FACE_SIZE = 224  # pixels a side of the face frames that the workflow stores
QUALITY = 95
SUBSAMPLING = "444"
# What Arrow and a JPEG's decoder raise for damaged bytes, an absurd size among them.
DAMAGE = (pa.ArrowException, ValueError, IndexError, OSError, MemoryError, OverflowError)
SCHEMA = pa.schema(
    [
        ("clip", pa.string()),
        ("frames", pa.list_(pa.large_binary())),
        ("crc32", pa.list_(pa.uint32())),
    ]
)


def checksum(encoded: bytes | memoryview, clip: str, number: int, length: int) -> int:
    """CRC-32 of a frame's bytes and of its place: clip, frame number, and the clip's length.

    A JPEG with a flipped bit decodes to another face without a word, so each is checked as it is
    read (2 % of its decoding).
    """
    return zlib.crc32(encoded, zlib.crc32(f"{clip} {number}/{length}".encode()))


class ShardWriter:
    """Write a shard; the file appears when the `with` block ends, whole or not at all.

    Clips are stored in the order of `add`; equal frames in equal order give equal bytes.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._clips: set[str] = set()

    def __enter__(self) -> "ShardWriter":
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic(self._path))
            # A file of Python's own: its errors keep their number, and `atomic` knows a full disk.
            file = stack.enter_context(temporary.open("wb"))
            self._writer = stack.enter_context(pa.ipc.new_file(file, SCHEMA))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def add(self, clip: str, frames: Iterable[np.ndarray]) -> int:
        """Append a clip.

        Args:
            frames: uint8 RGB, (n, H, W, 3) or an iterable of (H, W, 3); n ≥ 1, all of one size.
                An iterable is consumed frame by frame, and nothing is written if it raises.

        Returns:
            n.
        """
        if clip in self._clips:
            raise ValueError(f"clip {clip!r} is in this shard already")
        encoded, shapes = [], set()
        for frame in frames:
            shapes.add(frame.shape)
            encoded.append(
                simplejpeg.encode_jpeg(
                    np.ascontiguousarray(frame), QUALITY, "RGB", colorsubsampling=SUBSAMPLING
                )
            )
        if len(shapes) != 1:
            raise ValueError(f"clip {clip!r}: frames of one size expected, got {sorted(shapes)}")
        sums = [checksum(data, clip, i, len(encoded)) for i, data in enumerate(encoded)]
        columns = zip(([clip], [encoded], [sums]), SCHEMA.types, strict=True)
        self._writer.write_batch(pa.record_batch([pa.array(*column) for column in columns], SCHEMA))
        self._clips.add(clip)
        return len(encoded)


class ClipStore:
    """Random access to the clips of several shards.

    Shards are opened on first use, once a process: a store can be pickled, copied to other
    processes or cross a fork at any time.
    """

    def __init__(self, paths: Iterable[Path | str]) -> None:
        self.paths = [Path(path) for path in paths]
        self._index: dict[str, tuple[int, int, int]] | None = None  # clip → shard, batch, length
        self._shards: dict[int, pa.ipc.RecordBatchFileReader] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_shards": {}}

    @property
    def clips(self) -> list[str]:
        """The ids of all clips, sorted.

        Raises:
            UserError: a shard is missing or damaged, or a clip is in two shards.
        """
        return sorted(self._entries())

    def contents(self, shard: int) -> tuple[int, int, str]:
        """Of the shard `paths[shard]`: its clips, its frames, and a digest over all of them.

        Raises:
            UserError: as `clips`.
        """
        self._entries()
        reader, digest, frames = self._open(shard), hashlib.blake2b(digest_size=16), 0
        for batch in range(reader.num_record_batches):
            columns = reader.get_batch(batch)
            clip, sums = columns.column(0)[0].as_py(), columns.column(2)[0].as_py()
            digest.update(f"{clip} {sums}\n".encode())
            frames += len(sums)
        return reader.num_record_batches, frames, digest.hexdigest()

    def length(self, clip: str) -> int:
        """Number of frames of a clip.

        Raises:
            UserError: as `clips`, or there is no such clip.
        """
        return self._entry(clip)[2]

    def frames(
        self,
        clip: str,
        indices: Sequence[int],
        min_size: int | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Decode frames of a clip.

        Args:
            indices: frame numbers, 0 … length − 1, in any order and with repeats.
            min_size: decode at the smallest DCT scale (1/8 … 1) whose sides are both still at
                least this, which is several times faster; None decodes at full size.
            out: decoded into where its frames have the clip's size, else left alone.

        Returns:
            uint8 RGB (len(indices), H, W, 3): `out`, or an array of its own.

        Raises:
            UserError: as `length`, or a frame's bytes are damaged.
            IndexError: a frame number out of range.
        """
        shard, batch, length = self._entry(clip)
        least = min_size or 0
        for index in indices:
            if not 0 <= index < length:
                raise IndexError(f"clip {clip!r} has {length} frames, no frame {index}")
        try:
            columns = self._open(shard).get_batch(batch)
            encoded, sums = columns.column(1).values, columns.column(2).values
            rows: dict[int, int] = {}  # frame → its first row
            for row, index in enumerate(map(int, indices)):
                if index in rows:
                    out[row] = out[rows[index]]
                    continue
                data = memoryview(encoded[index].as_buffer()).cast("B")
                if checksum(data, clip, index, length) != sums[index].as_py():
                    raise ValueError(f"frame {index} is not what was written")
                if not rows:
                    size = simplejpeg.decode_jpeg_header(data, least, least, 1)[:2]
                    if out is None or out.shape[1:3] != size:
                        out = np.empty((len(indices), *size, 3), np.uint8)
                simplejpeg.decode_jpeg(
                    data,
                    "RGB",
                    min_height=least,
                    min_width=least,
                    min_factor=1,
                    buffer=out[row],
                )
                rows[index] = row
            return out
        except DAMAGE as error:
            raise self._damaged(shard, f"clip {clip!r}: {error}") from error

    def _entry(self, clip: str) -> tuple[int, int, int]:
        entry = self._entries().get(clip)
        if entry is None:
            raise UserError(
                f"clip {clip!r} is in none of the {len(self.paths)} shards of the store "
                f"({self.paths[0].parent if self.paths else 'no path given'}). If extraction "
                "rejected it, the table of rejects says why; else run the extract stage again."
            )
        return entry

    def _entries(self) -> dict[str, tuple[int, int, int]]:
        if self._index is None:
            index: dict[str, tuple[int, int, int]] = {}
            for shard, path in enumerate(self.paths):
                reader = self._open(shard)
                try:
                    for batch in range(reader.num_record_batches):
                        columns = reader.get_batch(batch)
                        columns.validate(full=True)  # else a damaged offset may end the process
                        clip, frames, sums = (column[0] for column in columns.columns)
                        clip = clip.as_py()
                        if len(columns) != 1 or clip is None or not frames.is_valid:
                            raise ValueError(f"batch {batch} is not of one clip")
                        length = len(frames)
                        if not sums.is_valid or len(sums) != length:
                            raise ValueError(f"clip {clip!r} has not one checksum a frame")
                        if clip in index:
                            other = self.paths[index[clip][0]]
                            raise UserError(
                                f"clip {clip!r} is in two shards, {other} and {path}: they come "
                                "from different runs. Delete both and run again."
                            )
                        index[clip] = (shard, batch, length)
                except DAMAGE as error:
                    raise self._damaged(shard, str(error)) from error
            self._index = index
        return self._index

    def _open(self, shard: int) -> pa.ipc.RecordBatchFileReader:
        if shard not in self._shards:
            path = self.paths[shard]
            try:
                check_readable(path)
                reader = pa.ipc.open_file(pa.memory_map(str(path)))
            except FileNotFoundError:
                raise UserError(
                    f"{path}: no such file. Run the extract stage first; with Snakemake, delete "
                    "contents.parquet beside it and run again."
                ) from None
            except DAMAGE as error:
                raise self._damaged(shard, str(error)) from error
            if reader.schema != SCHEMA:
                raise self._damaged(shard, "its columns are not those of a clip store")
            self._shards[shard] = reader
        return self._shards[shard]

    def _damaged(self, shard: int, reason: str) -> UserError:
        return UserError(
            f"{self.paths[shard]}: not a whole shard of a clip store ({reason}). Delete it and "
            "run again: the extract stage will make it anew."
        )
