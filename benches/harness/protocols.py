"""The same proxies with other things on the wire: TLS, HTTP/2, bodies of 1 MiB, WebSocket messages.

Each of these rows is compared with bare Pingora and the same protocol. The gateway asks for a session in all of them;
the others judge nothing.
"""

import dataclasses
import subprocess

from . import h2load, peers, talk, wrk
from .gate import Gate
from .row import COOKIE, Row
from .workshop import HOST, free_port

LARGE = "/large"  # the upstream has a file of 1 MiB there
PLAIN = "HTTP/1.1 in the clear"
PROTOCOLS = {"tls": "TLS", "h2": "HTTP/2 over TLS", "large": "1 MiB", "ws": "WebSocket messages"}
PROXIES = ("bare", "session", "nginx", "haproxy", "envoy")
KEYS = [f"{proxy}-{protocol}" for protocol in PROTOCOLS for proxy in PROXIES]

NGINX = """
map $http_upgrade $hop {{ default upgrade; "" ""; }}
upstream upstream {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
upstream echo {{ server 127.0.0.1:{echo}; }}
server {{
  listen 127.0.0.1:{plain};
  listen 127.0.0.1:{secure} ssl http2;
  ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
  location / {{ proxy_pass http://upstream; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  location = {talk} {{
    proxy_pass http://echo; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $hop;
  }}
}}
"""

HAPROXY = peers.HAPROXY_DEFAULTS + """frontend all
  bind 127.0.0.1:{plain}
  bind 127.0.0.1:{secure} ssl crt {both} alpn h2,http/1.1
  use_backend echo if {{ path {talk} }}
  default_backend upstream
backend upstream
  server one 127.0.0.1:{upstream}
backend echo
  server one 127.0.0.1:{echo}
"""


@dataclasses.dataclass
class Listener:
    """A port of a proxy, and what is sent there with each request."""

    port: int
    process: subprocess.Popen
    headers: dict = dataclasses.field(default_factory=lambda: dict(COOKIE))


@dataclasses.dataclass
class Proxy:
    """A proxy in the clear, with TLS, and before the service that echoes."""

    name: str
    plain: Listener
    secure: Listener
    talk: Listener
    guarded: bool = False

    def row(self, protocol):
        """What this proxy is asked to do."""
        listener = {"tls": self.secure, "h2": self.secure, "ws": self.talk}.get(protocol, self.plain)
        more = {"large": {"path": LARGE}, "h2": {"driver": "h2load"}, "ws": {"driver": "talk", "path": talk.PATH}}
        return Row(
            f"{self.name}-{protocol}", f"{TITLES[self.name]}, {PROTOCOLS.get(protocol, PLAIN)}", listener.port, listener.process,
            listener.headers, guarded=self.guarded, tls=listener is self.secure, yardstick=f"bare-{protocol}",
            **more.get(protocol, {}),
        )


TITLES = {
    "bare": "bare Pingora", "session": "Portcullis, session, 100 rules", "nginx": "nginx", "haproxy": "HAProxy", "envoy": "Envoy",
}


@dataclasses.dataclass
class Bench:
    """What every proxy here needs to know."""

    workshop: object
    upstream: int
    echo: int
    bare: object
    portcullis: object
    files: dict  # certificate, key, both: PEM files


def drivers(echo_program):
    """What loads a row, by the name that is in it."""
    return {
        "wrk": wrk.drive,
        "h2load": h2load.drive,
        "talk": lambda workshop, row, seconds: talk.drive(workshop, row, seconds, echo_program),
    }


def everything(bench):
    """The gateway in each protocol that has a length to be checked, without yardsticks."""
    proxy = session(bench)
    return [proxy.row(protocol) for protocol in ("plain", "tls", "h2", "large")]


def rows(bench, wanted):
    """The wanted rows, and why those that are missing are."""
    found, missing = [], []
    for name, start in STARTS.items():
        keys = [f"{name}-{protocol}" for protocol in PROTOCOLS if f"{name}-{protocol}" in wanted]
        if not keys:
            continue
        try:
            proxy = start(bench)
        except peers.Missing as fault:
            missing.append((keys, fault))
            continue
        found += [proxy.row(protocol) for protocol in PROTOCOLS if f"{name}-{protocol}" in wanted]
    return sorted(found, key=lambda row: KEYS.index(row.key)), missing


def certificate(workshop):
    """A certificate of our own for 127.0.0.1, as RFC 9110 asks: in the alternative names."""
    room = workshop.room("certificate")
    files = {name: room / f"{name}.pem" for name in ("certificate", "key", "both")}
    subprocess.run([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=bench", "-addext", f"subjectAltName=IP:{HOST},DNS:localhost", "-keyout", files["key"], "-out", files["certificate"],
    ], check=True, capture_output=True)
    files["both"].write_text(files["certificate"].read_text() + files["key"].read_text())
    return files


def bare(bench):
    """The yardstick: one process for each kind of work, as the gateway has them, because one that has done other things before
    has memory at hand that a fresh one asks the system for. Another one stands before the echo: bare Pingora knows one service.
    """
    plain, secure, port = free_port(), free_port(), free_port()
    upstream = f"{HOST}:{bench.upstream}"
    core = bench.workshop.proxy_core
    clear = bench.workshop.serve("bare-plain", [bench.bare, f"{HOST}:{plain}", upstream], core, plain)
    command = [bench.bare, f"{HOST}:{free_port()}", upstream, f"{HOST}:{secure}", bench.files["certificate"], bench.files["key"]]
    safe = bench.workshop.serve("bare-secure", command, core, secure)
    talking = bench.workshop.serve("bare-talk", [bench.bare, f"{HOST}:{port}", f"{HOST}:{bench.echo}"], core, port)
    return Proxy("bare", Listener(plain, clear), Listener(secure, safe), Listener(port, talking))


def session(bench):
    """The gateway, as it would be in service; one for each site, because a host is one or the other."""
    gate = Gate(bench.workshop, bench.portcullis, bench.upstream, "portcullis-plain", echo=bench.echo)
    safe = Gate(bench.workshop, bench.portcullis, bench.upstream, "portcullis-secure", files=bench.files)
    plain = Listener(gate.port, gate.process, gate.log_in())
    return Proxy("session", plain, Listener(safe.secure, safe.process, safe.log_in()), plain, guarded=True)


def nginx(bench):
    """One worker."""
    plain, secure = free_port(), free_port()
    body = NGINX.format(plain=plain, secure=secure, upstream=bench.upstream, echo=bench.echo, talk=talk.PATH, **bench.files)
    return one("nginx", plain, secure, peers.nginx(bench.workshop, "nginx-protocols", body, secure, bench.workshop.proxy_core))


def haproxy(bench):
    """One thread."""
    program = peers.required("haproxy")
    plain, secure = free_port(), free_port()
    file = bench.workshop.room("haproxy-protocols") / "haproxy.cfg"
    file.write_text(HAPROXY.format(
        plain=plain, secure=secure, upstream=bench.upstream, echo=bench.echo, talk=talk.PATH, both=bench.files["both"]))
    command = [program, "-db", "-f", file]
    return one("haproxy", plain, secure, bench.workshop.serve("haproxy-protocols", command, bench.workshop.proxy_core, secure))


def envoy(bench):
    """One worker."""
    plain, secure = free_port(), free_port()
    return one("envoy", plain, secure, peers.envoy_protocols(
        bench.workshop, plain, secure, bench.upstream, bench.echo, bench.files))


def one(name, plain, secure, process):
    """A proxy that does everything in one process."""
    return Proxy(name, Listener(plain, process), Listener(secure, process), Listener(plain, process))


STARTS = {"bare": bare, "session": session, "nginx": nginx, "haproxy": haproxy, "envoy": envoy}
