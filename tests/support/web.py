"""A small web server in this process, for tests of downloads: no test leaves the machine."""

import contextlib
import http.server
import io
import tarfile
import threading


def archive(files: dict, top: str = "repo-0123456") -> bytes:
    """A .tar.gz of {path: bytes} below the folder `top`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(f"{top}/{path}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers are logged nowhere; `self.server.asked` lists the paths."""

    def start(self, body: bytes | None):
        """The head of an answer with `body`, or 404 where there is none."""
        self.server.asked.append(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(handler, monkeypatch):
    """A server that answers with `handler`, until the block ends: url, and asked, the paths so far."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    httpd.asked, httpd.url = [], f"http://127.0.0.1:{httpd.server_port}"
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield httpd
    finally:
        httpd.shutdown()
        httpd.server_close()
