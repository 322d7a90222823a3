//! A real mail server (aiosmtpd) in a process of its own, with TLS, a password and moods.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::eventually;
use super::tls::Identity;

/// Prints one line of JSON for its port, each message and each refusal.
const SERVER: &str = "
import asyncio, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

mood = json.loads(sys.argv[1])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert.pem', 'key.pem')

def tell(**what):
    print(json.dumps(what), flush=True)

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if mood['never']:
            tell(refused=address)
            return '550 5.1.1 no such user here'
        if mood['later'] > 0:
            mood['later'] -= 1
            tell(refused=address)
            return '451 4.7.1 come back later'
        envelope.rcpt_tos.append(address)
        return '250 OK'

    async def handle_DATA(self, server, session, envelope):
        tell(sender=envelope.mail_from, to=envelope.rcpt_tos, hello=session.host_name,
             tls=session.ssl is not None or mood['mode'] == 'tls', login=session.authenticated,
             data=envelope.content.decode('utf-8', 'replace'))
        return '250 2.0.0 kept as 42'

def login(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (b'gw', b'correct horse')
    return AuthResult(success=right, handled=False)

def make():
    safe = {} if mood['mode'] == 'plain' else dict(authenticator=login, auth_required=True)
    start = dict(tls_context=context, require_starttls=True) if mood['mode'] == 'starttls' else {}
    return SMTP(Handler(), hostname='mail.test', auth_require_tls=mood['mode'] == 'starttls', **safe, **start)

async def main():
    outer = context if mood['mode'] == 'tls' else None
    server = await asyncio.get_running_loop().create_server(make, '127.0.0.1', 0, ssl=outer)
    tell(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()

asyncio.run(main())
";

/// How a connection to the server is protected. All but the plain one ask for name `gw` and password `correct
/// horse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// TLS from the first byte.
    Tls,
    /// `STARTTLS`, and nothing before it.
    StartTls,
    /// Neither offered.
    Plain,
}

/// A running mail server; it ends with this value, or with the test, whichever is first.
pub struct Smtp {
    port: u64,
    said: Arc<Mutex<Vec<Value>>>,
    folder: TempDir,
    shell: Child,
    input: Option<ChildStdin>,
}

impl Smtp {
    /// One that takes every mail.
    pub fn start(mode: Mode) -> Self {
        Self::moody(mode, "localhost", 0, false)
    }

    /// One with a certificate for `name`, which refuses the first `later` recipients for the time being, or
    /// all of them for good.
    pub fn moody(mode: Mode, name: &str, later: u32, never: bool) -> Self {
        let folder = TempDir::with_prefix("portcullis-smtp-").unwrap();
        let identity = Identity::new(&[name]);
        std::fs::write(folder.path().join("cert.pem"), identity.certificate).unwrap();
        std::fs::write(folder.path().join("key.pem"), identity.key).unwrap();
        let mode = match mode {
            Mode::Tls => "tls",
            Mode::StartTls => "starttls",
            Mode::Plain => "plain",
        };
        let mood = json!({ "mode": mode, "later": later, "never": never }).to_string();
        let python = env::var("PORTCULLIS_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
        // The shell ends the server when its own input closes, which happens however this test ends.
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg("\"$@\" </dev/null 2>&1 & pid=$!; cat >/dev/null; kill \"$pid\"")
            .args(["sh", &python, "-c", SERVER, &mood])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = shell.stdin.take();
        let said = collect(shell.stdout.take().unwrap());
        let port = eventually("the mail server (python3 with aiosmtpd) to start", || {
            said.lock()
                .unwrap()
                .iter()
                .find_map(|line| line["port"].as_u64())
        });
        Self {
            port,
            said,
            folder,
            shell,
            input,
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u64 {
        self.port
    }

    /// The file with its certificate.
    pub fn certificate(&self) -> String {
        self.folder.path().join("cert.pem").display().to_string()
    }

    /// Every mail it has taken.
    pub fn mails(&self) -> Vec<Value> {
        self.lines("data")
    }

    /// How often it has refused a recipient.
    pub fn refusals(&self) -> usize {
        self.lines("refused").len()
    }

    /// Waits for so many mails.
    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        eventually("a mail to arrive", || {
            let mails = self.mails();
            (mails.len() >= count).then_some(mails)
        })
    }

    fn lines(&self, key: &str) -> Vec<Value> {
        let said = self.said.lock().unwrap();
        said.iter()
            .filter(|line| !line[key].is_null())
            .cloned()
            .collect()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.shell.wait();
    }
}

fn collect(stream: impl std::io::Read + Send + 'static) -> Arc<Mutex<Vec<Value>>> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&said);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line).unwrap_or_else(|_| json!({ "noise": line }));
            shared.lock().unwrap().push(value);
        }
    });
    said
}
