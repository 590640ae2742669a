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
    """Answers are logged nowhere; `self.server.asked` lists the paths, of a rest "<path> from <first byte>"."""

    def start(self, body: bytes | None, version: str = "") -> int:
        """The head of an answer with `body`, or 404 where there is none; returns the first byte, which a range may ask for."""
        asked = self.headers.get("Range", "") if version and self.headers.get("If-Range") == version else ""
        first = int(asked.removeprefix("bytes=").removesuffix("-") or 0)
        self.server.asked.append(f"{self.path} from {first}" if first else self.path)
        self.send_response(206 if first else 200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"") - first))
        if version:
            self.send_header("ETag", version)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        return first

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(handler, monkeypatch):
    """A server that answers with `handler`, until the block ends: url, and asked, the paths so far."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    httpd.asked, httpd.url = [], f"http://127.0.0.1:{httpd.server_port}"
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()  # it looks for the end so often
    try:
        yield httpd
    finally:
        httpd.shutdown()
        httpd.server_close()
