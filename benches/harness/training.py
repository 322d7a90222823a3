"""What an instrumented copy is loaded with before the build that counts: a bit of everything that is done all day.

The rows of the benchmark are part of it, for the gateway and for bare Pingora alike. What no row does (refusals, tokens, other
codings, uploads, log-ins, pages) is mixed in for the gateway, because what never ran counts as rare, and is built small and slow.
"""

import json
import signal
import subprocess

from . import peers, protocols, wrk
from .gate import PASSWORD, USER, Gate, logged_rows, rows
from .row import PATH, Row, connection_to
from .talk import start_echo
from .workshop import Trouble, Workshop

SECONDS = 4  # of each load
RARE_SECONDS = 1  # of what is mixed in: enough to be known, too little to be laid out beside what most requests run through
LOG_INS = 5
STOP_LIMIT = 60  # seconds until a copy must have written its profile

EVERYDAY = """
  - { path: /text, allow: anyone, compress: true }
  - { path: /closed/**, allow: { role: admin } }
"""


def gateway(binary, talk):
    """Loads the gateway."""
    with Workshop() as workshop:
        upstream, _ = peers.start_upstream(workshop)
        load(workshop, rows(workshop, binary, upstream) + logged_rows(workshop, binary, upstream), talk)
        load(workshop, spoken(workshop, upstream, talk, "session", portcullis=binary), talk)
        everyday(workshop, Gate(workshop, binary, upstream, "everyday", auth="session, jwt", first=EVERYDAY))
        dismiss(workshop, binary)


def bare(binary, talk):
    """Loads bare Pingora."""
    with Workshop() as workshop:
        upstream, _ = peers.start_upstream(workshop)
        load(workshop, peers.bare_pingora(workshop, binary, upstream), talk)
        load(workshop, spoken(workshop, upstream, talk, "bare", bare=binary), talk)
        dismiss(workshop, binary)


def spoken(workshop, upstream, talk, name, **binaries):
    """The rows of the other protocols."""
    programs = {"bare": None, "portcullis": None} | binaries
    echo = start_echo(workshop, talk)
    bench = protocols.Bench(workshop, upstream, echo, files=protocols.certificate(workshop), **programs)
    found, missing = protocols.rows(bench, {f"{name}-{protocol}" for protocol in protocols.PROTOCOLS})
    for _, fault in missing:
        raise fault
    return found


def load(workshop, loaded, talk):
    """Each row in turn. A fault ends the training: a profile of half the work would be taken for that of all."""
    drivers = protocols.drivers(talk)
    for row in loaded:
        row.prove()
        drivers[row.driver](workshop, row, SECONDS)
        print(f"trained   {row.key}", flush=True)


def everyday(workshop, gate):
    """Requests of many kinds in turn, most of them good, over connections that stay; and log-ins."""
    cookie = gate.log_in()
    for _ in range(LOG_INS):
        gate.log_in()
    token = {"Authorization": f"Bearer {access_token(gate)}"}
    page = {"Accept": "text/html,*/*;q=0.8"}
    requests = [
        ("GET", PATH, cookie), ("GET", f"{PATH}?q=a%20b&page=2", cookie), ("GET", PATH, cookie | page),
        ("POST", PATH, cookie, 4096), ("PUT", PATH, cookie, 512), ("HEAD", PATH, cookie),
        ("GET", PATH, token), ("GET", f"{PATH}/orders/17", token), ("POST", PATH, token, 1024),
        ("GET", "/text", {"Accept-Encoding": "gzip, deflate, br, zstd"}), ("GET", "/text", {"Accept-Encoding": "br;q=1.0, gzip;q=0.8"}),
        ("GET", "/text", {"Accept-Encoding": "gzip"}), ("GET", "/text", {}),
        ("GET", PATH, {}), ("GET", PATH, page), ("GET", "/closed/x", cookie), ("GET", "/auth/login", page),
        ("GET", "/auth/me", cookie),
    ]
    script = in_turn(requests)
    wrk.run(workshop, Row("everyday", "everyday", gate.port, gate.process, headers={}, script=script), RARE_SECONDS)
    print("trained   everyday", flush=True)


def access_token(gate):
    """What a program logs in for."""
    connection = connection_to(gate.port, tls=False)
    try:
        body = json.dumps({"username": USER, "password": PASSWORD})
        connection.request("POST", "/auth/login/simple", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        if answer.status != 200:
            raise Trouble(f"a program's log-in answers {answer.status}: {text[:300]}")
        return json.loads(text)["access_token"]
    finally:
        connection.close()


def in_turn(requests):
    """A wrk script that sends these one after the other; each is a method, a path, headers and a length of body."""
    def written(method, path, headers, length=0):
        fields = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
        body = f'string.rep("x", {length})' if length else "nil"
        return f'wrk.format("{method}", {json.dumps(path)}, {{ ["Host"] = wrk.headers["Host"], {fields} }}, {body})'
    listed = ",\n    ".join(written(*request) for request in requests)
    return f"""
local requests, turn = {{}}, 0
init = function()
  requests = {{
    {listed}
  }}
end
request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
"""


def dismiss(workshop, binary):
    """Ends the copies, which write their profiles on the way out; bare Pingora leaves at once only when interrupted."""
    copies = {name: server for name, server in workshop.servers.items() if str(binary) in map(str, server.args)}
    for server in copies.values():
        server.send_signal(signal.SIGINT)
    for name, server in copies.items():
        try:
            server.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired as late:
            raise Trouble(f"{name} did not end within {STOP_LIMIT} s, and so left no profile") from late
