"""Serving the viewer on this machine alone: read-only, no paths in addresses, no other name for this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from eiplatform.errors import ConfigError, EIPlatformError
from eiplatform.report.html import render
from eiplatform.viewer.recordings import Shown, recordings_in

__all__ = ["Viewer"]

_NAMES = ("127.0.0.1", "localhost")
"""What a browser on this machine calls it; through any other name a page of somebody else could read the recording."""
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"  # noqa: E501


class Viewer:
    """A run in the browser.

    Parameters
    ----------
    run : Path
        A recording, or a directory that holds some.
    port : int
        0: any that is free.
    partial : bool
        Show what is complete of interrupted or damaged recordings.

    Raises
    ------
    StoreError
        If no recording is there, or the first cannot be opened.
    ConfigError
        If the port is taken or invalid.
    """

    def __init__(self, run: Path, *, port: int = 0, partial: bool = False) -> None:
        if not 0 <= port <= 65535:
            raise ConfigError(f"{port} is not a port number", where="--port", valid="0 (any that is free) to 65535")
        self.places = recordings_in(run)
        self._lock = Lock()  # HDF5 reads one thing at a time
        self._open: Callable[[int], Shown] = lru_cache(maxsize=8)(lambda number: self._opened(number, partial))
        self._open(0)
        handler = type("Handler", (_Handler,), {"viewer": self})
        try:
            self.server = ThreadingHTTPServer((_NAMES[0], port), handler)
        except OSError as error:
            what = f"port {port} cannot be used ({error.strerror})"
            raise ConfigError(what, where="--port", remedy="give another one, or 0 for any that is free") from error
        self.server.daemon_threads = True

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        return f"http://{_NAMES[0]}:{self.server.server_address[1]}/"

    def serve(self) -> None:
        """Answer until interrupted."""
        try:
            self.server.serve_forever()
        finally:
            self.server.server_close()

    def answer(self, path: str, query: dict[str, str]) -> tuple[str, str] | None:
        """Return content type and text of an address; None if there is none.

        Raises
        ------
        EIPlatformError
            If what is asked for is not in the run.
        """
        if path not in ("/", "/neuron", "/raster"):
            return None
        with self._lock:
            number = self._number(query.get("recording", "0"))
            shown = self._open(number)
            if path == "/":
                return "text/html; charset=utf-8", self._page(number, shown)
            frame = (shown.neuron if path == "/neuron" else shown.raster)(query.get("key", ""))
        return "application/json", json.dumps(frame.as_dict(), separators=(",", ":"))

    def _number(self, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text) < len(self.places)):
            raise ConfigError("this recording is not there", where="view", valid=f"0 to {len(self.places) - 1}")
        return int(text)

    def _opened(self, number: int, partial: bool) -> Shown:
        return Shown(list(self.places.values())[number], partial=partial)

    def _page(self, number: int, shown: Shown) -> str:
        return render(
            "view.html.j2",
            interactive=True,
            title=shown.label,
            places=list(self.places),
            number=number,
            widgets=shown.widgets(f"recording={number}"),
            colours={},
        )


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; everything else is refused."""

    viewer: Viewer
    server_version = "eiplatform"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:  # noqa: N802
        """Answer with a page or a frame."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0].lower()
        if host not in _NAMES or self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            self._say(HTTPStatus.FORBIDDEN, "application/json", _error("only this machine is served, by its own name"))
            return
        asked = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(asked.query).items()}
        try:
            found = self.viewer.answer(asked.path, query)
        except EIPlatformError as error:
            self._say(HTTPStatus.BAD_REQUEST, "application/json", _error(str(error)))
            return
        except Exception:
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, "application/json", _error("this failed; see the terminal"))
            raise
        if found is None:
            self._say(HTTPStatus.NOT_FOUND, "application/json", _error("nothing is at this address"))
        else:
            self._say(HTTPStatus.OK, *found)

    do_HEAD = do_GET  # noqa: N815

    def _say(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        with suppress(ConnectionError):  # the browser has gone on
            self._send(status, kind, body)

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the terminal belongs to the user."""


def _error(text: str) -> str:
    return json.dumps({"error": text})
