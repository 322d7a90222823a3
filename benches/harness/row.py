"""One line of the table: a request, the process it is sent to, and the proof that the row does what its label says."""

import dataclasses
import http.client
import ssl
import subprocess

from .workshop import HOST, Trouble

PATH = "/hello"
PROOF = "/proof"  # the upstream answers with the headers it got, see peers.UPSTREAM
YARDSTICK = "bare"

# Every proxy that judges nothing is sent a cookie as long as the gateway's, so that all parse the same bytes.
COOKIE = {"Cookie": "portcullis=" + "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"}


@dataclasses.dataclass
class Row:
    """A proxy under one kind of request."""

    key: str
    label: str
    port: int
    process: subprocess.Popen
    headers: dict = dataclasses.field(default_factory=lambda: dict(COOKIE))
    path: str = PATH
    guarded: bool = False  # the same request without its headers must be refused
    proves: tuple = ()  # what the upstream must report on PROOF
    script: str | None = None  # a Lua file for wrk in place of the fixed request
    tls: bool = False
    driver: str = "wrk"  # which program loads it, see the modules of these names
    yardstick: str = YARDSTICK  # the row it is compared with: the same protocol through bare Pingora

    def prove(self):
        """Refuse to measure a gate that is open, or one that tells the service nothing."""
        if self.guarded:
            status, _ = self.ask({}, self.path)
            if status not in (401, 403):
                raise Trouble(f"{self.key}: without a credential the answer is {status}, not 401: the row would prove nothing")
        if self.proves:
            status, body = self.ask(self.headers, PROOF)
            lacking = [what for what in self.proves if what not in body]
            if status != 200 or lacking:
                raise Trouble(f"{self.key}: the service did not receive {lacking} (status {status}): {body[:300]}")

    def answer_length(self):
        """The bytes of one whole good answer on an HTTP/1 wire; every answer under load must be as long."""
        head, body = self.answer()
        return len(head) + len(body)

    def answer(self):
        """Head and body of one good answer, as wrk counts them."""
        connection = self.connect()
        try:
            connection.request("GET", self.path, headers=self.headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise Trouble(f"{self.key}: {self.path} answers {answer.status}, not 200")
            # The reason phrase is the only part of the head that http.client does not keep byte for byte.
            fields = "".join(f"{k}: {v}\r\n" for k, v in answer.getheaders())
            return f"HTTP/1.1 {answer.status} {answer.reason}\r\n{fields}\r\n".encode(), answer.read()
        finally:
            connection.close()

    def ask(self, headers, path):
        """Status and body of one request."""
        connection = self.connect()
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def connect(self):
        """A connection that is opened by its first request."""
        return connection_to(self.port, self.tls)

    def url(self):
        """What the driver loads."""
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}{self.path}"


def connection_to(port, tls):
    """Over TLS the certificate is one of ours, made for this run, and not looked at."""
    if tls:
        return http.client.HTTPSConnection(HOST, port, timeout=30, context=unverified())
    return http.client.HTTPConnection(HOST, port, timeout=30)


def unverified():
    """A context that believes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
