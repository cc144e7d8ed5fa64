"""A web server on this machine alone, for tests of everything that fetches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class LocalServer:
    """Serves `files` by path; notes what was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    promised_bytes: dict[str, int] = field(default_factory=dict)
    """Content-Length to claim where it isn't the true one."""
    before_body: Callable[[], object] = lambda: None
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Authorization header of every request so far."""
    url: str = ""


@contextmanager
def serving() -> Iterator[LocalServer]:
    """Run a server on a free port of 127.0.0.1."""
    site = LocalServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append((self.path, self.headers.get("Authorization")))
            if self.path in site.redirects:
                self.send_response(302)
                self.send_header("Location", site.redirects[self.path])
                self.end_headers()
                return
            if self.path not in site.files:
                self.send_error(404)
                return
            body = site.files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(site.promised_bytes.get(self.path, len(body))))
            self.end_headers()
            site.before_body()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
