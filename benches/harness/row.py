"""One line of the table: a request, the process it is sent to, and the proof that the row does what its label says."""

import dataclasses
import http.client
import subprocess

from .workshop import HOST, Trouble

PATH = "/hello"
PROOF = "/proof"  # the upstream answers with the headers it got, see peers.UPSTREAM

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
        """The bytes of one whole good answer on the wire; every answer under load must be as long."""
        status, _ = self.ask(self.headers, self.path)
        if status != 200:
            raise Trouble(f"{self.key}: {self.path} answers {status}, not 200")
        return raw_length(self.port, self.path, self.headers)

    def ask(self, headers, path):
        """Status and body of one request."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()


def raw_length(port, path, headers):
    """Count head and body as wrk does."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        # The reason phrase is the only part of the head that http.client does not keep byte for byte.
        head = f"HTTP/1.1 {answer.status} {answer.reason}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in answer.getheaders()) + "\r\n"
        return len(head.encode()) + len(answer.read())
    finally:
        connection.close()
