"""Roundup, an issue tracker, as its authors made it: it believes a header, as `http_auth_header` of its settings has it.

`tracker.py` makes a tracker with the users alice and root in a folder of its own, prints `ready PORT`, and serves until
its standard input ends. Root is an administrator there.
"""

import subprocess
import sys
import tempfile
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import roundup.instance
from roundup.cgi.wsgi_handler import RequestDispatcher

SITE = "http://localhost/tracker/"
SETTINGS = {
    "tracker_web": SITE,
    "mail_domain": "example.test",
    # What WSGI makes of X-Remote-User.
    "web_http_auth_header": "HTTP_X_REMOTE_USER",
    # "Disable it if your upstream server does compression of dynamic data."
    "web_dynamic_compression": "no",
}


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *said):
        pass


def make(home):
    def admin(*words):
        command = [sys.executable, "-B", "-m", "roundup.scripts.roundup_admin", "-i", home, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    settings = {**SETTINGS, "mail_debug": home + "/letters"}
    admin("install", "classic", "sqlite", ",".join(f"{name}={value}" for name, value in settings.items()))
    admin("initialise", "nobody knows this")
    people = roundup.instance.open(home).open("admin")
    for name, roles in [("alice", "User"), ("root", "User,Admin")]:
        people.user.create(username=name, roles=roles, address=f"{name}@example.test")
    people.commit()
    people.close()


with tempfile.TemporaryDirectory(prefix="portcullis-tracker-") as folder:
    home = folder + "/home"
    make(home)
    server = make_server("127.0.0.1", 0, RequestDispatcher(home), Server, Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", server.server_port, flush=True)
    sys.stdin.read()
