"""Portcullis itself: a configuration with as many rules as asked, one user, real log-ins, and the rows measured on it."""

import json
import re
import subprocess

from .row import PATH, Row, connection_to
from .workshop import Trouble

USER, PASSWORD = "bench", "correct horse battery staple bench"
PUBLIC = "/public/**"

CONFIGURATION = """
site: {site}
threads: 1
listen: {listen}
store: sqlite:data/portcullis.db
upstreams: {upstreams}
session: {{ per_user: {sessions} }}
roles: {{ viewer: [orders:read], editor: [viewer, orders:write], admin: [editor, users:write] }}
defaults: {{ to: web, auth: [{auth}] }}
rules:
{rules}
"""

# None of these matches what is asked, and all of them stand above the rule that does.
FILLERS = (
    "{{ path: /page-{n}, allow: anyone }}",
    "{{ path: /area-{n}/:id/**, allow: {{ role: editor }} }}",
    "{{ path: /form-{n}/**, methods: [POST, PUT], allow: {{ permission: orders:write }} }}",
    "{{ path: /team-{n}/*/settings, allow: {{ roles: {{ any: [editor, admin] }} }} }}",
    "{{ path: /:tenant/reports-{n}/**, methods: [GET], allow: {{ role: viewer }} }}",
    "{{ path: /api/v{n}/orders/:order, methods: [GET, DELETE], allow: {{ permission: orders:read }} }}",
)


def rules(count):
    """`count` rules of mixed kinds, the two that are measured at the very end."""
    fillers = [FILLERS[n % len(FILLERS)].format(n=n) for n in range(count - 2)]
    return "\n".join(f"  - {rule}" for rule in [*fillers, f"{{ path: {PUBLIC}, allow: anyone }}", "{ path: /**, allow: signed_in }"])


def configuration(upstream, sessions, auth, listed, echo, files):
    """The file; with certificates for an https site, with a service that talks WebSocket behind its first rule."""
    listen = {"http": "127.0.0.1:0", "admin": "127.0.0.1:0"}
    upstreams = {"web": {"to": f"http://127.0.0.1:{upstream}"}}
    site, tls = "http://127.0.0.1", ""
    if echo:
        upstreams["echo"] = {"to": f"http://127.0.0.1:{echo}"}
        listed = "  - { path: /talk, to: echo, allow: signed_in }\n" + listed
    if files:
        listen["https"] = "127.0.0.1:0"
        site = "https://127.0.0.1"
        tls = f"\ntls: {{ certificate: {files['certificate']}, key: {files['key']} }}"
    return CONFIGURATION.format(
        site=site, listen=json.dumps(listen) + tls, upstreams=json.dumps(upstreams), sessions=sessions, auth=auth, rules=listed)


class Gate:
    """A running gateway."""

    def __init__(
        self, workshop, binary, upstream, name="portcullis", rule_count=100, sessions=64, log="warn", echo=None, files=None,
        auth="session", first="",
    ):
        self.room = workshop.room(name)
        self.file = self.room / "gateway.yaml"
        self.file.write_text(configuration(upstream, sessions, auth, first + rules(rule_count), echo, files))
        self.binary = binary
        self.call("check")
        self.call("user", "add", USER, "--email", "bench@example.test", "--roles", "user", "--password-stdin", given=PASSWORD)
        command = [binary, "serve", "--config", self.file]
        self.process = workshop.start(name, command, workshop.proxy_core, {"PORTCULLIS_LOG": log}, quiet=log != "warn")
        workshop.wait(name, lambda: "ready" in self.banner().splitlines())
        self.port = self.listener("http")
        self.secure = self.listener("https") if files else None

    def banner(self):
        """What `serve` has printed so far."""
        return (self.room / "stdout").read_text()

    def listener(self, scheme):
        """The port that the banner tells."""
        return int(re.search(rf"^\s+{scheme}\s+{scheme}://127\.0\.0\.1:(\d+)", self.banner(), re.MULTILINE)[1])

    def call(self, *words, given=None):
        """One of the other commands of the binary, on the same file."""
        command = [str(self.binary), *words, "--config", str(self.file)]
        finished = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
        if finished.returncode:
            raise Trouble(f"portcullis {' '.join(words)} failed:\n{finished.stdout}{finished.stderr}")

    def log_in(self):
        """A new session; the answer is the header that carries it."""
        connection = connection_to(self.secure or self.port, self.secure is not None)
        try:
            body = json.dumps({"username": USER, "password": PASSWORD})
            connection.request("POST", "/auth/session/login", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            cookie = re.search(r"(__Host-)?portcullis=[^;]+", answer.getheader("Set-Cookie", ""))
            if answer.status != 200 or not cookie:
                raise Trouble(f"log-in answers {answer.status}: {text[:300]}")
            return {"Cookie": cookie[0]}
        finally:
            connection.close()

    def session_row(self, key, label, headers=None, **more):
        """The row that counts: a session is looked up, the rules are walked, headers and assertion are injected."""
        proves = (f"user={USER}", "assertion=ey", "cookie=\n")
        return Row(key, label, self.port, self.process, headers or self.log_in(), guarded=True, proves=proves, **more)


def rows(workshop, binary, upstream):
    """The gateway as configured for production, but for its access log."""
    gate = Gate(workshop, binary, upstream)
    session = gate.session_row("session", "Portcullis, session, 100 rules")
    public = {"port": gate.port, "process": gate.process, "path": PUBLIC.replace("**", "hello")}
    return [
        session,
        Row("public", "Portcullis, public rule, no session", headers={}, **public),
        Row("optional", "Portcullis, public rule, session", headers=session.headers, **public),
    ]


def logged_rows(workshop, binary, upstream):
    """The same with an access line for every request, written to nowhere."""
    return [Gate(workshop, binary, upstream, "logged", log="info").session_row("logged", "Portcullis, session, access log on")]


def rule_growth_rows(workshop, binary, upstream):
    """Flat or not: the deciding rule is always the last."""
    return [
        Gate(workshop, binary, upstream, f"rules-{count}", count).session_row(f"rules-{count}", f"Portcullis, {count} rules")
        for count in (10, 100, 1_000, 10_000)
    ]


def session_growth_rows(workshop, binary, upstream):
    """Flat or not: each request belongs to another session, all of them in turn."""
    gate = Gate(workshop, binary, upstream, "sessions", sessions=1_000)
    sessions = [gate.log_in() for _ in range(1_000)]
    return [
        gate.session_row(
            f"sessions-{count}", f"Portcullis, {count} sessions in turn", sessions[0], script=in_turn(sessions[:count])
        )
        for count in (10, 100, 1_000)
    ]


def in_turn(sessions):
    """A wrk script whose requests carry one cookie after the other; they are written out before the measurement."""
    listed = ",".join(f'"{session["Cookie"]}"' for session in sessions)
    return f"""
local requests, turn = {{}}, 0
init = function()
  for i, cookie in ipairs({{{listed}}}) do
    requests[i] = wrk.format("GET", "{PATH}", {{ ["Host"] = wrk.headers["Host"], ["Cookie"] = cookie }})
  end
end
request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
"""
