"""A load generator in a process of its own: requests over many kept connections.

Run as `python -m tests.benchmarks.client HOST PORT CONNECTIONS SECONDS FILE`, where FILE holds one
raw request per line (JSON text). Prints the latencies, how many answers came within the time by
their status, and which requests were answered with 200, the last ones waited for.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass

PATIENCE = 10


@dataclass
class Connection:
    """One connection with the request it waits for."""

    socket: socket.socket
    began: float = 0.0
    asked: int = 0
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
    number, open_ones, latencies = 0, 0, []
    statuses: Counter[int] = Counter()
    acknowledged: set[int] = set()
    until = time.perf_counter() + seconds

    def send(connection: Connection) -> None:
        nonlocal number, open_ones
        connection.buffer, connection.began = b"", time.perf_counter()
        connection.asked = number % len(requests)
        connection.socket.sendall(requests[connection.asked])
        number, open_ones = number + 1, open_ones + 1

    for _n in range(connections):
        link = socket.create_connection((host, port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(link)
        selector.register(link, selectors.EVENT_READ, connection)
        send(connection)
    # Whatever was asked is answered, so that what is stored can be compared with it exactly.
    while open_ones and time.perf_counter() < until + PATIENCE:
        for key, _events in selector.select(0.1):
            connection = key.data
            connection.buffer += connection.socket.recv(65536)
            status = complete(connection.buffer)
            if not status:
                continue
            open_ones -= 1
            if status == 200:
                acknowledged.add(connection.asked)
            if time.perf_counter() < until:
                latencies.append(time.perf_counter() - connection.began)
                statuses[status] += 1
                send(connection)
    found = {"latencies": latencies, "statuses": statuses, "acknowledged": sorted(acknowledged)}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
