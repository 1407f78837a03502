"""A load generator in a process of its own: requests over many kept connections.

Run as `python -m tests.benchmarks.client HOST PORT CONNECTIONS SECONDS FILE`, where FILE holds one
raw request per line (JSON text); prints the latencies and how many were answered with 200.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass


@dataclass
class Connection:
    """One connection with the request it waits for."""

    socket: socket.socket
    began: float = 0.0
    buffer: bytes = b""


def complete(buffer: bytes) -> int:
    """The status of a complete answer in `buffer`, else 0."""
    head, found, body = buffer.partition(b"\r\n\r\n")
    if not found:
        return 0
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _colon, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return int(head.split(b" ", 2)[1]) if len(body) >= length else 0


def main(host: str, port: int, connections: int, seconds: float, file: str) -> None:
    """Keep `connections` busy for `seconds` and print what happened."""
    with open(file) as lines:
        requests = [json.loads(line).encode() for line in lines]
    selector = selectors.DefaultSelector()
    number, ok, latencies = 0, 0, []
    until = time.perf_counter() + seconds

    def send(connection: Connection) -> None:
        nonlocal number
        connection.buffer, connection.began = b"", time.perf_counter()
        connection.socket.sendall(requests[number % len(requests)])
        number += 1

    for _n in range(connections):
        link = socket.create_connection((host, port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(link)
        selector.register(link, selectors.EVENT_READ, connection)
        send(connection)
    while time.perf_counter() < until:
        for key, _events in selector.select(0.1):
            connection = key.data
            connection.buffer += connection.socket.recv(65536)
            status = complete(connection.buffer)
            if status:
                latencies.append(time.perf_counter() - connection.began)
                ok += status == 200
                send(connection)
    sys.stdout.write(json.dumps({"ok": ok, "latencies": latencies}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
