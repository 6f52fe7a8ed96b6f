"""A web server on the loopback address, as good or as bad as a test wants it."""

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What the server has, how it serves it, and what it was asked.

    files: {path: bytes}. ranges: it knows ranges. if_range: it compares the validator of a range with its own.
    tagged: it gives entity tags. weak: they are weak ones. date: its Last-Modified, "" for none.
    length: it says how long a file is; else it sends chunks. cut: the connection ends after so many bytes of a body.
    status: instead of any file, if it is not 200. headers: in every answer.
    stall: after `cut` bytes it waits for this event before it ends the connection.
    elsewhere: it sends the part that lies so many bytes behind the one asked for, and says so.
    more: bytes that it sends behind the end.
    asked: [(path, Range header or None)], what it was asked so far.
    """

    files: dict = field(default_factory=dict)
    ranges: bool = True
    if_range: bool = True
    tagged: bool = True
    weak: bool = False
    date: str = ""
    length: bool = True
    cut: int | None = None
    status: int = 200
    headers: dict = field(default_factory=dict)
    stall: threading.Event | None = None
    elsewhere: int = 0
    more: bytes = b""
    asked: list = field(default_factory=list)
    address: str = ""

    def tag(self, content):
        """The entity tag of these bytes."""
        return f'{"W/" * self.weak}"{hashlib.sha256(content).hexdigest()[:16]}"' if self.tagged else ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.close_connection = True
        server = self.server.behaviour
        wanted = self.headers.get("Range")
        server.asked.append((self.path, wanted))
        content = server.files.get(self.path)
        if server.status != 200 or content is None:
            self.send_response(server.status if server.status != 200 else 404)
            for name, value in ({"Content-Length": "0"} | server.headers).items():
                self.send_header(name, value)
            self.end_headers()
            return
        tag = server.tag(content)
        known = self.headers.get("If-Range")
        same = not server.if_range or known is None or (known in (tag, server.date) and not known.startswith("W/"))
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges and same else 0
        begin += server.elsewhere if begin else 0
        if begin and begin >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if tag:
            self.send_header("ETag", tag)
        if server.date:
            self.send_header("Last-Modified", server.date)
        self.send_header(
            *(("Content-Length", len(content) - begin) if server.length else ("Transfer-Encoding", "chunked"))
        )
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._send(content[begin:], server)

    def _send(self, body, server):
        sent = body if server.cut is None else body[: server.cut]
        for first in range(0, len(sent), 1000):
            piece = sent[first : first + 1000]
            self.wfile.write(piece if server.length else f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.flush()
        if server.stall:
            server.stall.wait()
        elif not server.length and len(sent) == len(body):
            self.wfile.write(b"0\r\n\r\n")
        elif server.more:
            self.wfile.write(server.more)


@contextmanager
def serving(**behaviour):
    """A running server's Behaviour, with its address; it may be changed while it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.behaviour = Behaviour(**behaviour, address=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.behaviour
    finally:
        if server.behaviour.stall:
            server.behaviour.stall.set()
        server.shutdown()
        thread.join()
        server.server_close()
