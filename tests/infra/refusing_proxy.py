"""SQS with something in between that refuses some batches, as a key that is switched off does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Waiting helps: somebody switches the queue's key on again.
_REFUSAL = b'{"__type": "com.amazonaws.sqs#KmsDisabled", "message": "the key is disabled"}'
_REFUSED_ACTION = "AmazonSQS.SendMessageBatch"


@dataclass
class RefusingProxy:
    """Forwards all but batches that hold `refused`; an empty one refuses nothing."""

    url: str
    refused: bytes = b""


@contextmanager
def refusing_proxy(target: str) -> Iterator[RefusingProxy]:
    """Forward requests to `target` from a free port of 127.0.0.1."""
    behind = urlsplit(target)

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sends = self.headers["X-Amz-Target"] == _REFUSED_ACTION
            if sends and proxy.refused and proxy.refused in body:
                self._answer(400, "application/x-amz-json-1.0", _REFUSAL)
                return
            connection = HTTPConnection(behind.hostname or "", behind.port)
            try:
                connection.request("POST", self.path, body, dict(self.headers))
                answer = connection.getresponse()
                kind = answer.headers.get("Content-Type", "")
                self._answer(answer.status, kind, answer.read())
            finally:
                connection.close()

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: what the function logs is what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    server.daemon_threads = True
    proxy = RefusingProxy(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
