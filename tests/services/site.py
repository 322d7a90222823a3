"""A static site, served by the server that comes with Python: `site.py` prints `ready PORT` and serves until its standard
input ends.
"""

import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = "<!doctype html><title>Handbook</title><link rel=stylesheet href=style.css><h1>Handbook</h1><img src=photo.bin>"


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


with tempfile.TemporaryDirectory(prefix="portcullis-site-") as folder:
    pages = Path(folder, "app/handbook")
    pages.mkdir(parents=True)
    (pages / "index.html").write_text(PAGE)
    (pages / "style.css").write_text("h1 { color: teal }")
    (pages / "photo.bin").write_bytes(bytes(range(256)) * 2**14)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", server.server_port, flush=True)
    sys.stdin.read()
