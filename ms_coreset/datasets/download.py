"""Published files: fetch them, and check whether a local file is the published one."""

import http.client
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ms_coreset.checksums import digest
from ms_coreset.errors import MsCoresetError
from ms_coreset.kinds import FilePath, Log
from ms_coreset.terminal import one_line, warn

_BLOCK = 1 << 18


@dataclass(frozen=True)
class Access:
    """What a data set's loader may do to get published files, and where it logs.

    Attributes:
        download: whether a file that is missing may be fetched.
        verify: whether a file that differs from the published one is an error; otherwise it is read, with a warning.
        log: called with each line for the user; the default is shown on stderr unless ``logging`` is set up otherwise.
    """

    download: bool = True
    verify: bool = False
    log: Log = warn

    def obtain(self, url: str, path: Path, md5: str) -> None:
        """Fetch ``url`` to ``path``.

        Args:
            url: of the published file.
            path: where to put it.
            md5: hexadecimal sum of the published file.

        Raises:
            MsCoresetError: when the file can't be fetched, or downloading is not allowed.
        """
        if not self.download:
            raise MsCoresetError(f"{path} is missing: get it from {url} and put it there, or allow downloading")
        self.log(f"{path} is missing: downloading {url}")
        fetch(url, path, md5)

    def compare(self, name: str, published: dict[Path, str]) -> None:
        """Compare files with their published md5 sums: one warning for all that differ, or an error.

        Args:
            name: of the data set.
            published: path -> md5 sum.

        Raises:
            MsCoresetError: for a file that differs, if ``verify`` is set.
        """
        differing = [path for path, md5 in published.items() if digest(path) != md5]
        if not differing:
            return
        names = f"{', '.join(path.name for path in differing)} in {differing[0].parent}"
        if self.verify:
            raise MsCoresetError(f"{name}: not the published files (md5): {names}; "
                                 "replace them, or read them unverified")
        self.log(f"{name}: read as they are, but not the published files (md5): {names}")


def fetch(url: str, path: FilePath, md5: str | None = None, progress: bool = True, timeout: float = 30) -> None:
    """Download ``url`` to ``path``; a partial file ``<path>.part`` of an earlier attempt is continued.

    The partial file is removed when the sum differs, and kept after any other failure. Without ``md5`` a change of the
    file on the server between two attempts is not noticed. Two processes must not fetch the same file at once.

    Args:
        url: of the file.
        path: where to put it.
        md5: hexadecimal sum that the whole file must have, or None.
        progress: whether to show a bar on stderr (a line every ten seconds when that is no terminal).
        timeout: seconds without an answer or data.

    Raises:
        MsCoresetError: when there is no network or no such file, the transfer ends early, or the sum differs.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    elsewhere = f"try again, or get it elsewhere and put it at {path}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _transfer(url, part, progress, timeout)
    except (OSError, http.client.HTTPException) as error:
        raise MsCoresetError(f"can't download {url}: {_reason(error)}; {elsewhere}") from error
    if md5 is not None and (found := digest(part)) != md5:
        part.unlink()
        raise MsCoresetError(f"{url} came with md5 {found} instead of {md5}; {elsewhere}")
    os.replace(part, path)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return str(error)
    cause: Any = getattr(error, "reason", error)  # URLError wraps the OSError that says what happened
    where = f" ({cause.filename})" if getattr(cause, "filename", None) else ""
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__) + where


def _transfer(url: str, part: Path, progress: bool, timeout: float) -> None:
    """Append the missing rest of ``url`` to ``part``; start over if the server can't continue."""
    held = part.stat().st_size if part.exists() else 0
    with _open(url, held, timeout) as response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        held = held if resumed else 0
        length = response.headers.get("Content-Length")
        total = held + int(length) if length else None
        with open(part, "ab" if resumed else "wb") as stream, _bar(part.stem, held, total, progress) as bar:
            while block := response.read(_BLOCK):
                stream.write(block)
                bar.update(len(block))
    # http.client takes an early close of the connection for the end of the file.
    if total is not None and (held := part.stat().st_size) != total:
        raise ConnectionError(f"the transfer ended after {held:,} of {total:,} bytes")


def _open(url: str, offset: int, timeout: float) -> Any:
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if not offset or error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
    # The part is as long as the file, or longer; nothing says that it is the same, so start over.
    return _open(url, 0, timeout)


def _bar(name: str, initial: int, total: int | None, progress: bool) -> tqdm:
    return tqdm(desc=one_line(name), initial=initial, total=total, unit="B", unit_scale=True, unit_divisor=1024,
                disable=not progress, file=sys.stderr, mininterval=0.1 if sys.stderr.isatty() else 10)
