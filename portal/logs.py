"""Structured logs: one JSON line per event, every line of a request with its id."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from flask import Flask, Response, g, has_request_context, request
from uuid_utils.compat import uuid7

log = logging.getLogger("portal")


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if has_request_context():
            line["request"] = g.get("request_id", "")
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(level: str) -> None:
    """Send the portal's log to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    log.handlers[:] = [handler]
    log.setLevel(level.upper())
    log.propagate = False


def log_requests(app: Flask) -> None:
    """Give every request an id, answer with it, and log one line without query or body."""

    @app.before_request
    def begin() -> None:
        g.request_id, g.began = uuid7().hex, time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        # The route, not the path: paths of share and mail links are secrets.
        route = request.url_rule.rule if request.url_rule else "-"
        took = round((time.perf_counter() - g.get("began", time.perf_counter())) * 1000)
        fields = {"method": request.method, "route": route, "status": response.status_code}
        log.debug("request", extra={"fields": {**fields, "ms": took}})
        return response
