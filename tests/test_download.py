import hashlib
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ms_coreset.datasets import download
from ms_coreset.datasets.download import Access, fetch
from ms_coreset.errors import MsCoresetError

CONTENT = bytes(range(256)) * 4096  # more than one block
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves ``CONTENT`` as /file; the server's ``ranges`` and ``cut`` say how well."""

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.path != "/file":
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start:self.server.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.ranges, server.cut, server.asked = True, None, []
        server.url = f"http://127.0.0.1:{server.server_port}/file"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "file"


@pytest.fixture
def part(path):
    path.parent.mkdir()
    return path.with_name("file.part")


def test_fetch_writes_the_file_and_shows_progress_on_stderr(server, path, capsys):
    fetch(server.url, path, MD5)
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
    captured = capsys.readouterr()
    assert "file: 100%" in captured.err and not captured.out


def test_fetch_is_quiet_when_asked(server, path, capsys):
    fetch(server.url, path, progress=False)
    assert path.read_bytes() == CONTENT and not capsys.readouterr().err


@pytest.mark.parametrize(("terminal", "seconds"), [(True, 0.1), (False, 10)])
def test_a_log_gets_a_line_of_progress_every_ten_seconds(monkeypatch, terminal, seconds):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with download._bar("file", 0, 100, progress=True) as bar:
        assert bar.mininterval == seconds


def test_interrupted_transfer_goes_on_where_it_stopped(server, path):
    server.cut = 300_000
    with pytest.raises(MsCoresetError, match="ended after 300,000 of 1,048,576 bytes"):
        fetch(server.url, path, MD5, progress=False)
    assert path.with_name("file.part").stat().st_size == 300_000 and not path.exists()
    server.cut = None
    fetch(server.url, path, MD5, progress=False)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_server_without_ranges_is_read_from_the_start(server, path, part):
    part.write_bytes(CONTENT[:1000])
    server.ranges = False
    fetch(server.url, path, MD5, progress=False)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


@pytest.mark.parametrize("held", [CONTENT, CONTENT + b"more"])
def test_part_that_leaves_nothing_to_ask_for_is_read_anew(server, path, part, held):
    part.write_bytes(held)
    fetch(server.url, path, MD5, progress=False)
    assert path.read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(held)}-", None]


def test_wrong_sum_removes_the_part_so_that_the_next_attempt_starts_over(server, path, part):
    part.write_bytes(b"x" * 1000)
    with pytest.raises(MsCoresetError, match=rf"md5 \w+ instead of {MD5}; .*put it at {path}"):
        fetch(server.url, path, MD5, progress=False)
    assert not list(path.parent.iterdir())
    fetch(server.url, path, MD5, progress=False)
    assert path.read_bytes() == CONTENT


def test_missing_page_is_named(server, path):
    with pytest.raises(MsCoresetError, match=rf"download {server.url}-too: HTTP Error 404.*put it at {path}"):
        fetch(server.url + "-too", path)
    assert not list(path.parent.iterdir())


def test_failure_keeps_the_part(path, part):
    part.write_bytes(b"so far")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/file"
    with pytest.raises(MsCoresetError, match=rf"download {url}: Connection refused; .*put it at {path}"):
        fetch(url, path)
    assert part.read_bytes() == b"so far"


def test_silent_server_times_out(path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/file"
        with pytest.raises(MsCoresetError, match="timed out"):
            fetch(url, path, timeout=0.1)


def test_file_in_the_folders_place_is_named(server, tmp_path):
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(MsCoresetError, match=rf"{tmp_path}/data"):
        fetch(server.url, tmp_path / "data" / "file")


def test_access_says_what_it_downloads(server, path):
    lines = []
    Access(log=lines.append).obtain(server.url, path, MD5)
    assert path.read_bytes() == CONTENT
    assert lines == [f"{path} is missing: downloading {server.url}"]


def test_access_without_download_says_what_to_put_where(server, path):
    with pytest.raises(MsCoresetError, match=rf"{path} is missing: get it from {server.url}"):
        Access(download=False).obtain(server.url, path, MD5)
    assert not server.asked


def test_access_compares_with_published_sums(tmp_path):
    files = [tmp_path / name for name in ("one", "two", "three")]
    for file in files:
        file.write_text(file.name)
    sums = {file: hashlib.md5(file.name.encode()).hexdigest() for file in files}
    lines = []
    Access(log=lines.append, verify=True).compare("Some", sums)
    assert not lines
    files[0].write_text("1")
    files[2].write_text("3")
    Access(log=lines.append).compare("Some", sums)
    assert lines == [f"Some: read as they are, but not the published files (md5): one, three in {tmp_path}"]
    with pytest.raises(MsCoresetError, match="one, three"):
        Access(verify=True).compare("Some", sums)
