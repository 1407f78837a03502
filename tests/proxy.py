"""A proxy between a browser and the portal that can make both behave worse than they do."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

OF_ONE_HOP = ("connection", "proxy-connection", "keep-alive", "transfer-encoding", "content-length")


class Proxy:
    """Passes everything on.

    While it `is_busy`, reports of attention are answered with 503 in the server's place; `refused`
    are the moments of these answers, by token and by the test's clock. While it `lets_keep`, the
    browser is not told that pages are not to be kept.
    """

    def __init__(self) -> None:
        self.is_busy = self.lets_keep = False
        self.refused = defaultdict[str, list[float]](list)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self.server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if proxy.is_busy and urlsplit(self.path).path == "/t":
                    proxy.refused[json.loads(body)["t"]].append(time.monotonic())
                    self._send(503, [], b"")
                else:
                    self._pass_on(body)

            def _pass_on(self, body: bytes) -> None:
                there = urlsplit(self.path)
                connection = HTTPConnection(there.hostname or "", there.port, timeout=30)
                try:
                    path = there.path + (f"?{there.query}" if there.query else "")
                    headers = dict(_end_to_end(self.headers.items()))
                    connection.request(self.command, path, body or None, headers)
                    answer = connection.getresponse()
                    headers_back = answer.getheaders()
                    if proxy.lets_keep:
                        headers_back = [one for one in headers_back if one[1] != "no-store"]
                    self._send(answer.status, headers_back, answer.read())
                except OSError:
                    self._send(502, [], b"")
                finally:
                    connection.close()

            def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in _end_to_end(headers):
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words: object) -> None:
                """Say nothing."""

        return Handler


def _end_to_end(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in OF_ONE_HOP]


@contextmanager
def proxy() -> Iterator[Proxy]:
    """A proxy of one's own."""
    running = Proxy()
    thread = threading.Thread(target=running.server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.server.shutdown()
        running.server.server_close()
