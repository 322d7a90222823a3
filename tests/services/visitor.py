"""Clients as people use them, through the gateway: `visitor.py SCENARIO JSON`. Nothing is waited for by time."""

import asyncio
import gzip
import hashlib
import http.client
import json
import re
import ssl
import sys
import threading
import urllib.parse
from pathlib import Path

PATIENCE = 20

# The one thread in which every WebSocket lives.
LOOP = asyncio.new_event_loop()
threading.Thread(target=LOOP.run_forever, daemon=True).start()


class Visitor:
    """Somebody at one listener of the gateway."""

    def __init__(self, arguments):
        self.port, self.tls, self.folder = arguments["port"], arguments["tls"], Path(arguments["folder"])
        self.context = ssl.create_default_context(cafile=self.folder / "tls.crt") if self.tls else None

    def connect(self):
        if self.tls:
            return http.client.HTTPSConnection("localhost", self.port, timeout=PATIENCE, context=self.context)
        return http.client.HTTPConnection("localhost", self.port, timeout=PATIENCE)

    def ask(self, method, path, body=None, **headers):
        connection = self.connect()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read().decode()

    def login(self, name, password):
        """The session's cookie."""
        form = json.dumps({"username": name, "password": password})
        answer, text = self.ask("POST", "/auth/session/login", form, Content_Type="application/json")
        assert answer.status == 200, text
        return answer.getheader("Set-Cookie").split(";")[0]

    def token(self, name, password):
        form = urllib.parse.urlencode({"username": name, "password": password})
        answer, text = self.ask("POST", "/auth/login", form, Content_Type="application/x-www-form-urlencoded")
        assert answer.status == 200, text
        return json.loads(text)["access_token"]

    def logout(self, **headers):
        answer, text = self.ask("POST", "/auth/logout", "", **headers)
        assert answer.status == 200, text

    def socket(self, path, cookie=None, **more):
        return Talk(f"{'wss' if self.tls else 'ws'}://localhost:{self.port}{path}", self.context, cookie, more)


class Talk:
    """A WebSocket, of the library's `asyncio` kind: the other reads and writes one TLS connection in two threads, which
    CPython's `ssl` does not stand in every version; a request that was never sent came of it."""

    def __init__(self, url, context, cookie, more):
        from websockets.asyncio.client import connect

        headers = {"Cookie": cookie} if cookie else {}
        opening = connect(url, ssl=context, additional_headers=headers, open_timeout=PATIENCE, max_size=2**26, proxy=None, **more)
        self.socket = self.wait(self.opened(opening))
        self.subprotocol = self.socket.subprotocol

    async def opened(self, opening):
        return await opening

    def wait(self, action):
        future = asyncio.run_coroutine_threadsafe(action, LOOP)
        return future.result(PATIENCE + 1)

    def send(self, message):
        self.wait(self.socket.send(message))

    def recv(self):
        return self.wait(asyncio.wait_for(self.socket.recv(), PATIENCE))

    def ping(self):
        """Sends a ping and waits for its answer."""

        async def ping():
            await asyncio.wait_for(await self.socket.ping(), PATIENCE)

        self.wait(ping())

    def close(self):
        """The code that the other side closed with."""
        self.wait(self.socket.close())
        return self.socket.close_code


def site(visitor, arguments):
    """Somebody reads a handbook as a browser does: sent to log in, then the page, what it is made of, and again from the cache."""
    shown = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer, _ = visitor.ask("GET", "/app/handbook/", **shown)
    assert (answer.status, answer.getheader("Location")) == (303, "/auth/login?next=%2Fapp%2Fhandbook%2F"), answer.headers
    assert visitor.ask("GET", "/app/handbook/style.css")[0].status == 401
    cookie = visitor.login("alice", arguments["people"]["alice"])
    answer, _ = visitor.ask("GET", "/app/handbook", Cookie=cookie)
    assert (answer.status, answer.getheader("Location")) == (301, "/app/handbook/"), answer.headers
    answer, text = visitor.ask("GET", "/app/handbook/", Cookie=cookie, **shown)
    assert answer.status == 200 and "<h1>Handbook</h1>" in text, text
    assert answer.getheader("Cache-Control") == "private, no-cache", answer.headers
    changed = answer.getheader("Last-Modified")
    answer, text = visitor.ask("GET", "/app/handbook/", Cookie=cookie, If_Modified_Since=changed)
    assert (answer.status, text) == (304, ""), text
    connection = visitor.connect()
    for path, kind, length in [("style.css", "text/css", 18), ("photo.bin", "application/octet-stream", 2**22), ("", "text/html", None)]:
        for method in ("GET", "HEAD"):
            connection.request(method, f"/app/handbook/{path}", headers={"Cookie": cookie})
            answer = connection.getresponse()
            body = answer.read()
            assert (answer.status, answer.getheader("Content-Type")) == (200, kind), answer.headers
            assert len(body) == (int(answer.getheader("Content-Length")) if method == "GET" else 0)
            assert length is None or int(answer.getheader("Content-Length")) == length
            assert path != "photo.bin" or method == "HEAD" or body == bytes(range(256)) * 2**14
    assert visitor.ask("GET", "/app/handbook/nothing", Cookie=cookie)[0].status == 404
    visitor.logout(Cookie=cookie)
    assert visitor.ask("GET", "/app/handbook/", Cookie=cookie, If_Modified_Since=changed)[0].status == 401


def chat(visitor, arguments):
    """Two people talk; a large message, a ping, a subprotocol; one logs out and is put out, the other stays."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    try:
        visitor.socket("/chat")
        raise AssertionError("let in without a session")
    except InvalidStatus as refused:
        assert refused.response.status_code == 401
    cookies = {name: visitor.login(name, word) for name, word in arguments["people"].items()}
    alice = visitor.socket("/chat", cookies["alice"], subprotocols=["chat"])
    root = visitor.socket("/chat", cookies["root"])
    assert alice.subprotocol == "chat"
    assert alice.recv() == "welcome alice" and root.recv() == "welcome root"
    alice.send("good day")
    assert alice.recv() == root.recv() == "alice: good day"
    large = bytes(range(256)) * 2**14
    alice.send(large)
    assert alice.recv() == large
    alice.ping()
    visitor.logout(Cookie=cookies["alice"])
    try:
        alice.recv()
        raise AssertionError("not put out")
    except ConnectionClosed as closed:
        assert closed.rcvd is None, closed
    root.send("anybody?")
    assert root.recv() == "root: anybody?"
    assert root.close() == 1000


def app(visitor, arguments):
    """The Node application: who asks, the clock, the long poll, an upload, its own WebSocket."""
    cookie = visitor.login("alice", arguments["people"]["alice"])
    assert visitor.ask("GET", "/app/whoami")[0].status == 401
    assert visitor.ask("GET", "/app/whoami", Cookie=cookie)[1] == "alice"
    clock = visitor.connect()
    clock.request("GET", "/app/clock", headers={"Cookie": cookie, "Accept": "text/event-stream"})
    ticks = clock.getresponse()
    assert ticks.getheader("Content-Type") == "text/event-stream"
    seen = []
    while len(seen) < 5:
        line = ticks.readline().decode().strip()
        if line.startswith("data: "):
            seen.append(int(line[6:]))
    assert seen == [0, 1, 2, 3, 4], seen
    woken = []
    waiting = threading.Thread(target=lambda: woken.append(visitor.ask("GET", "/app/wait", Cookie=cookie)[1]))
    waiting.start()
    while not woken:
        visitor.ask("POST", "/app/wake", Cookie=cookie)
    waiting.join()
    assert woken == ["woken by alice"]
    body = b"upload" * 2**20
    answer, text = visitor.ask("POST", "/app/upload", body, Cookie=cookie, Expect="100-continue")
    assert text == f"{len(body)} {hashlib.sha256(body).hexdigest()}", text
    pieces = (body[at:at + 2**16] for at in range(0, len(body), 2**16))
    answer, text = visitor.ask("POST", "/app/upload", pieces, Cookie=cookie)
    assert text == f"{len(body)} {hashlib.sha256(body).hexdigest()}", text
    socket = visitor.socket("/app/socket", cookie)
    socket.send("hello")
    assert socket.recv() == "hello"
    socket.close()
    visitor.logout(Cookie=cookie)
    try:
        while ticks.readline():
            pass
    except (http.client.IncompleteRead, ConnectionError):
        pass
    assert visitor.ask("GET", "/app/clock", Cookie=cookie)[0].status == 401


def grpc(visitor, arguments):
    """All four kinds of call, errors, trailers, a deadline, a call that is left, and one whose session ends."""
    import grpc

    token = visitor.token("alice", arguments["people"]["alice"])
    bearer = (("authorization", f"Bearer {token}"), ("x-auth-user", "root"))
    target = f"localhost:{visitor.port}"
    if visitor.tls:
        trusted = grpc.ssl_channel_credentials((visitor.folder / "tls.crt").read_bytes())
        channel = grpc.secure_channel(target, trusted)
    else:
        channel = grpc.insecure_channel(target)
    options = {"metadata": bearer, "timeout": PATIENCE}
    name = "/test.Greeter/"
    greet = channel.unary_unary(name + "Greet")
    try:
        greet(b"x", timeout=PATIENCE)
        raise AssertionError("let in without a token")
    except grpc.RpcError as refused:
        assert refused.code() == grpc.StatusCode.UNAUTHENTICATED, refused
    answer, call = greet.with_call(b"you", **options)
    assert answer == b"hello you from alice", answer
    trailers = {field.key: field.value for field in call.trailing_metadata()}
    assert trailers.get("x-served") == "greeter", trailers
    assert "x-auth-user" not in trailers and "set-cookie" not in trailers, trailers
    try:
        channel.unary_unary(name + "Fail")(b"", **options)
        raise AssertionError("did not fail")
    except grpc.RpcError as failed:
        assert failed.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert failed.details() == "not today: ä"
    counted = list(channel.unary_stream(name + "Count")(b"1000", **options))
    assert counted == [str(number).encode() for number in range(1000)]
    large = (b"x" * 2**16 for _ in range(64))
    assert channel.stream_unary(name + "Add")(large, **options) == str(64 * 2**16).encode()
    # Each message is sent when the answer to the one before has come: nothing is held back in either direction.
    turns, turn = threading.Semaphore(1), [0]

    def ask():
        while turns.acquire(timeout=PATIENCE) and turn[0] < 20:
            yield str(turn[0]).encode()

    for answer in channel.stream_stream(name + "Echo")(ask(), **options):
        assert answer == str(turn[0]).encode()
        turn[0] += 1
        turns.release()
    assert turn[0] == 20
    # And none waits for an answer: the service sends each back before it reads the next one.
    for size, count in ((3 * 2**20, 20), (2**14, 2000)):
        sent = (bytes([number % 256]) * size for number in range(count))
        back = [(answer[0], len(answer)) for answer in channel.stream_stream(name + "Echo")(sent, **options)]
        assert back == [(number % 256, size) for number in range(count)], f"{len(back)} of {count}"
    try:
        channel.unary_unary(name + "Sleep")(b"", metadata=bearer, timeout=0.5)
        raise AssertionError("no deadline")
    except grpc.RpcError as late:
        assert late.code() == grpc.StatusCode.DEADLINE_EXCEEDED, late
    assert channel.unary_unary(name + "Gone")(b"", **options) == b"gone", "the service was not told"
    stream = channel.unary_stream(name + "Forever")(b"", **options)
    assert next(stream) == b"first"
    visitor.logout(Authorization=f"Bearer {token}")
    try:
        next(stream)
        raise AssertionError("not put out")
    except grpc.RpcError as ended:
        assert ended.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE), ended
    try:
        greet(b"x", **options)
        raise AssertionError("let in without a session")
    except grpc.RpcError as refused:
        assert refused.code() == grpc.StatusCode.UNAUTHENTICATED


def tracker(visitor, arguments):
    """The issue tracker: it greets who signed in, an issue is theirs, and nobody is somebody else by saying so."""
    cookies = {name: visitor.login(name, word) for name, word in arguments["people"].items()}

    def page(name, path="/tracker/", method="GET", body=None, **more):
        headers = {"Host": "localhost", "Accept-Encoding": "gzip", "Cookie": cookies[name]}
        connection = visitor.connect()
        connection.request(method, path, body, headers | more)
        answer = connection.getresponse()
        content = answer.read()
        if answer.getheader("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
            assert answer.getheader("Vary") == "Accept-Encoding"
        return answer, content.decode()

    def greeted(text):
        return re.search(r"<b>Hello, (\w+)</b>", text)[1]

    assert visitor.ask("GET", "/tracker/")[0].status == 401
    answer, text = page("alice")
    assert greeted(text) == "alice" and "Add User" not in text, text
    assert answer.getheader("Content-Encoding") == "gzip"
    assert greeted(page("root")[1]) == "root" and "Add User" in page("root")[1]
    for forged in ("X-Remote-User", "x-remote-user", "X_Remote_User", "X-REMOTE_USER", "HTTP-X-Remote-User", "Remote-User"):
        _, text = page("alice", **{forged: "root"})
        assert greeted(text) == "alice" and "Add User" not in text, forged
    answer, text = visitor.ask("GET", "/tracker/", X_Remote_User="root")
    assert answer.status == 401, text

    def file(title, **more):
        _, form = page("alice", "/tracker/issue?@template=item")
        token = re.search(r'name="@csrf"[^>]*value="([^"]+)"', form)[1]
        fields = {"title": title, "priority": "1", "@required": "title,priority", "@action": "new", "@csrf": token}
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer, text = page("alice", "/tracker/issue", "POST", urllib.parse.urlencode(fields), **kind, **more)
        assert answer.status in (302, 303), (answer.status, text)
        return re.search(r"/(issue\d+)", answer.getheader("Location"))[1]

    for number, more in enumerate([{}, {"X-Remote-User": "root"}]):
        issue = file(f"the roof leaks {number}", **more)
        _, text = page("root", f"/tracker/{issue}")
        assert f"the roof leaks {number}" in text and re.search("Created on <b>[^<]*</b> by <b>alice</b>", text), text
        assert greeted(text) == "root"
    # Only administrators see other people's addresses.
    assert "root@example.test" in page("root", "/tracker/user4")[1]
    for more in ({}, {"X-Remote-User": "root"}):
        assert "root@example.test" not in page("alice", "/tracker/user4", **more)[1]
    visitor.logout(Cookie=cookies["alice"])
    assert page("alice")[0].status == 401
    assert greeted(page("root")[1]) == "root"


def main():
    _, scenario, arguments = sys.argv
    arguments = json.loads(arguments)
    {"site": site, "chat": chat, "app": app, "grpc": grpc, "tracker": tracker}[scenario](Visitor(arguments), arguments)
    print(f"{scenario}: fine")


main()
