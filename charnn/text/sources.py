"""Files, folders or standard input enter; their text leaves, as blocks of decoded and normalized code points.
It streams through in constant memory, as often as it is asked for.

    arguments -> files -> bytes -> decoded text -> line ends -> normalized text -> code points

Line ends stay as they are, unless they are to be LF. Of several files, one that does not end in a line end is followed
by one: the last line of a file is never the beginning of the next one's first.
"""

from __future__ import annotations

import codecs
import io
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO

from charnn.errors import ConfigError, CorpusError, printable
from charnn.storage.disk import storage_errors
from charnn.text.decoding import HEAD, settle_encoding, undecodable
from charnn.text.files import Remarks, Source, Stop, find_files, open_file, reading
from charnn.text.options import AS_IT_IS, ReadOptions
from charnn.text.unicode import NORMAL_FORMS, Codes, code_points_of, normalized

ReadProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Sources:
    """What makes up a corpus, in order, and how to read it. Close it, or use it in a `with`."""

    files: tuple[Source, ...]
    options: ReadOptions = AS_IT_IS
    notices: tuple[str, ...] = ()
    spool: IO[bytes] | None = None
    block_size: int = 1 << 20

    @property
    def bytes(self) -> int:
        """Size of all files together, in bytes."""
        return sum(source.size for source in self.files)

    def close(self) -> None:
        """Give up the copy of standard input, if there is one."""
        if self.spool is not None:
            self.spool.close()

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_sources(
    arguments: Sequence[str | Path],
    work: Path,
    options: ReadOptions = AS_IT_IS,
    stdin: IO[bytes] | None = None,
    stop: Stop | None = None,
) -> Sources:
    """Find the files behind corpus arguments: files, folders (the texts below, by path), or "-" for `stdin`.

    What comes with charnn is found from anywhere, as corpora/dialogues.txt.
    Standard input is copied to a nameless file in the folder `work`, so that it can be read twice; that file is gone
    when the sources are closed, or the process dies. Raises CorpusError for a path that holds no text,
    StorageError where the system refuses, ConfigError for arguments and options that make no sense.
    """
    if not arguments:
        raise ConfigError("no corpus given", "name a text file, a folder of text files, or - for standard input")
    if sum(str(argument) == "-" for argument in arguments) > 1:
        raise ConfigError("standard input (-) is given more than once")
    options = options.checked()
    files: list[Source] = []
    notices: list[str] = []
    for argument in arguments:
        if str(argument) == "-":
            files.append(Source("standard input", None, 0))
        else:
            found, left_out = find_files(Path(argument), options, stop)
            files += found
            notices += left_out
    sources = Sources(tuple(files), options, tuple(notices))
    if all(source.path for source in files):
        return sources
    spool, size = _copy_of_standard_input(stdin, work, stop)
    files = [source if source.path else replace(source, size=size) for source in files]
    return replace(sources, files=tuple(files), spool=spool)


def code_points(
    sources: Sources, progress: ReadProgress | None = None, stop: Stop | None = None, remarks: Remarks | None = None
) -> Iterator[Codes]:
    """The whole text as blocks of code points (N,) with N > 0, normalized; for byte tokens, of byte values.

    Raises CorpusError for text that cannot be decoded, StorageError.
    """
    for _, codes in code_points_by_file(sources, progress, stop, remarks):
        yield codes


def code_points_by_file(
    sources: Sources, progress: ReadProgress | None = None, stop: Stop | None = None, remarks: Remarks | None = None
) -> Iterator[tuple[int, Codes]]:
    """The same, each block with the index of the file that it is from."""
    watch, remarks = ReadWatch(sources.bytes, progress, stop), remarks or Remarks()
    form = sources.options.normalize
    for index, source in enumerate(sources.files):
        texts = _texts(sources, source, watch, remarks)
        for text in texts if form == "none" else normalized(texts, NORMAL_FORMS[form]):
            yield index, code_points_of(text)  # (N,)


class ReadWatch:
    """Told of every block read: lets the caller stop, and shows how far the reading has come."""

    def __init__(self, total: int, progress: ReadProgress | None, stop: Stop | None) -> None:
        self._done, self._total, self._progress, self._stop = 0, total, progress, stop

    def __call__(self, count: int) -> None:
        self._done += count
        if self._stop is not None:
            self._stop()
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)


def read_blocks(file: IO[bytes], name: str, block_size: int, watch: ReadWatch) -> Iterator[bytes]:
    """The bytes of a file from where it stands."""
    while True:
        with reading(name):
            block = file.read(block_size)
        if not block:
            return
        watch(len(block))
        yield block


def _texts(sources: Sources, source: Source, watch: ReadWatch, remarks: Remarks) -> Iterator[str]:
    """The text of one file in pieces, none of them empty."""
    with _open_source(sources, source) as file:
        texts = _decoded(sources, source, file, watch, remarks)
        if sources.options.line_ends != "keep":
            texts = _with_lf(texts)
        if sources.options.line_ends == "crlf":
            texts = (text.replace("\n", "\r\n") for text in texts)
        if len(sources.files) > 1:
            texts = _ended(texts, source.name, remarks)
        yield from filter(None, texts)


def _decoded(sources: Sources, source: Source, file: IO[bytes], watch: ReadWatch, remarks: Remarks) -> Iterator[str]:
    """What a file holds, as it stands there."""
    codec, start = "latin-1", 0  # where byte n is code point n
    if sources.options.tokens != "bytes":
        with reading(source.name):
            head = file.read(HEAD)
        codec, start = settle_encoding(head, source.name, sources.options.encoding)
        if start:
            remarks.add("the byte order mark at the beginning is left out", source.name)
        with reading(source.name):
            file.seek(start)
    decoder, position = codecs.getincrementaldecoder(codec)(), start
    for block in chain(read_blocks(file, source.name, sources.block_size, watch), [b""]):
        position += len(block)
        try:
            yield decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            offset = position - len(error.object) + error.start
            with reading(source.name):
                problem = undecodable(file, source.name, codec, start, offset, error.object[error.start])
            raise problem from None


def _with_lf(texts: Iterable[str]) -> Iterator[str]:
    """The same text with LF for every CR LF and every CR alone."""
    decoder = io.IncrementalNewlineDecoder(None, translate=True)
    for text in texts:
        yield decoder.decode(text)
    yield decoder.decode("", final=True)


def _ended(texts: Iterable[str], name: str, remarks: Remarks) -> Iterator[str]:
    """The same text, with a line end such as it has where it ends without one."""
    last, line_end = "", "\n"
    for text in filter(None, texts):
        last = text[-1]
        if "\r\n" in text:
            line_end = "\r\n"
        yield text
    if last not in ("", "\n", "\r"):
        remarks.add("a line end is added after the last line, which has none", name)
        yield line_end


def _copy_of_standard_input(stdin: IO[bytes] | None, work: Path, stop: Stop | None) -> tuple[IO[bytes], int]:
    """A nameless file with all of standard input, and its size."""
    stdin = stdin or getattr(sys.stdin, "buffer", None)
    if stdin is None:
        raise CorpusError("standard input is closed", "name a text file, or pipe one in")
    name = printable(str(work))
    with storage_errors("write", name):
        spool = tempfile.TemporaryFile(dir=work)  # noqa: SIM115 (the caller keeps it)
    try:
        watch = ReadWatch(0, None, stop)
        for block in read_blocks(stdin, "standard input", 1 << 20, watch):
            with storage_errors("write", name):
                spool.write(block)
        with storage_errors("write", name):
            spool.flush()
            return spool, spool.tell()
    except BaseException:
        with suppress(OSError):
            spool.close()
        raise


def _open_source(sources: Sources, source: Source) -> AbstractContextManager[IO[bytes]]:
    if source.path is not None:
        return open_file(source.path, source.name)
    if sources.spool is None:
        raise CorpusError("standard input can be read only through open_sources")
    with reading(source.name):
        sources.spool.seek(0)
    return nullcontext(sources.spool)
