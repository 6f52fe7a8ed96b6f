"""A web server on the loopback address, as good or as bad as a test wants it."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What the server has, how it serves it, and what it was asked.

    files: {path: bytes}. cut: the connection ends after so many bytes of a body. during: called after these bytes.
    status: instead of any file, if it is not 200. headers: in every answer. asked: the paths it was asked for so far.
    """

    files: dict = field(default_factory=dict)
    cut: int | None = None
    during: object = None
    status: int = 200
    headers: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    address: str = ""


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server.behaviour
        server.asked.append(self.path)
        content = server.files.get(self.path)
        self.send_response(404 if content is None else server.status)
        for name, value in ({"Content-Length": str(len(content or b""))} | server.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write((content or b"")[: server.cut])
        self.wfile.flush()
        if server.during:
            server.during()


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
        server.shutdown()
        thread.join()
        server.server_close()
