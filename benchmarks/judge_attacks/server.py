"""A real HTTP server that speaks the OpenAI chat protocol and answers from a script, with every fault that a server can
have.

The script sees the prompt and says what comes back: text, a probability for each label, or a `Fault`. Standard library
only.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What goes wrong instead of a reply. status: sent with `body`; kind: hang (says nothing for `seconds`), trickle (a
    byte now and then for `seconds`), cut (half a reply, then the connection closes), raw (status 200 with `body` as it
    is)."""

    kind: str = "status"
    status: int = 500
    body: str = '{"error": {"message": "scripted"}}'
    seconds: float = 30.0
    headers: Mapping[str, str] | None = None


Script = Callable[
    [str, dict[str, Any]], "str | Mapping[str, float] | Fault"
]  # (prompt, whole request) -> text, {label: probability}, fault


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # the default of 5 resets connections under a client that asks many at once


class ScriptedServer:
    """Context manager; `url` ends in /v1. `requests` keeps every request body with the Authorization header under
    "authorization"."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.requests.append({**body, "authorization": handler.headers.get("Authorization"), "path": handler.path})
        reply = self.script(body["messages"][0]["content"], body)
        try:
            if isinstance(reply, Fault):
                self._fail(handler, reply)
            else:
                _send(handler, 200, json.dumps(_completion(reply)))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has given up, which is what some scripts want

    def _fail(self, handler: BaseHTTPRequestHandler, fault: Fault) -> None:
        if fault.kind == "hang":
            self.closing.wait(fault.seconds)
        elif fault.kind == "trickle":
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            end = time.monotonic() + fault.seconds
            while time.monotonic() < end and not self.closing.wait(0.05):
                handler.wfile.write(b" ")
                handler.wfile.flush()
        elif fault.kind == "cut":
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"choices": [{"mess')
        else:
            _send(handler, 200 if fault.kind == "raw" else fault.status, fault.body, fault.headers)


def _send(handler: BaseHTTPRequestHandler, status: int, body: str, headers: Mapping[str, str] | None = None) -> None:
    data = body.encode()
    handler.send_response(status)
    for name, value in {
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        **(headers or {}),
    }.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


def _completion(reply: str | Mapping[str, float]) -> dict[str, Any]:
    if isinstance(reply, str):
        return {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": reply}}],
        }
    first = max(reply, key=lambda token: reply[token])
    top = [{"token": token, "logprob": math.log(share)} for token, share in reply.items() if share > 0]
    content = [{"token": first, "logprob": math.log(reply[first]), "top_logprobs": top}]
    choice = {"index": 0, "message": {"role": "assistant", "content": first}, "logprobs": {"content": content}}
    return {"object": "chat.completion", "choices": [choice]}
