//! Services of other people's making that say what they have read: each request's method, target and request ids, a line
//! each. For S-23, which compares that with what was judged.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::framing_random::Seen;
use crate::harness::eventually;

const NODE: &str = "
const server = require('http').createServer((request, response) => {
  const ids = [];
  request.rawHeaders.forEach((name, at) => { if (at % 2 === 0 && name.toLowerCase() === 'x-request-id') ids.push(request.rawHeaders[at + 1]); });
  request.on('data', () => {});
  request.on('end', () => { console.log([request.method, request.url, ...ids].join('\\t')); response.end('seen'); });
});
server.listen(PORT, '127.0.0.1');
";

/// `print` writes each word by itself: lines of two threads would be one.
const WSGI: &str = "
import os
def app(environ, start_response):
    environ['wsgi.input'].read()
    ids = environ.get('HTTP_X_REQUEST_ID', '').split(',')
    os.write(1, ('\\t'.join([environ['REQUEST_METHOD'], environ['RAW_URI'], *ids]) + '\\n').encode())
    start_response('200 OK', [('Content-Length', '4')])
    return [b'seen']
";

/// Python's own server knows nothing of chunks; the few lines that read them take nothing but what the RFC says.
const PYTHON: &str = "
import http.server, os, re
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def line(self):
        line = self.rfile.readline(1000)
        assert line.endswith(b'\\r\\n'), line
        return line[:-2]
    def chunks(self):
        while True:
            size = self.line()
            assert re.fullmatch(b'[0-9A-Fa-f]{1,8}', size), size
            self.rfile.read(int(size, 16))
            last = int(size, 16) == 0
            assert self.line() == b''
            if last:
                return
    def seen(self):
        if UNREAD:
            pass
        elif self.headers.get_all('Transfer-Encoding') is not None:
            self.chunks()
        else:
            self.rfile.read(int(self.headers.get('Content-Length', 0)))
        ids = self.headers.get_all('X-Request-Id') or []
        os.write(1, ('\\t'.join([self.command, self.path, *ids]) + '\\n').encode())
        self.send_response(200)
        self.send_header('Content-Length', '4')
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(b'seen')
    def __getattr__(self, name):
        if name.startswith('do_'):
            return self.seen
        raise AttributeError(name)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(('127.0.0.1', PORT), Handler).serve_forever()
";

const NGINX: &str = "
daemon off; master_process off; pid nginx.pid; error_log stderr crit;
events {}
http {
  log_format seen '$request_method\t$request_uri\t$http_x_request_id';
  access_log /dev/stdout seen;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  keepalive_requests 1000000;
  server { listen 127.0.0.1:PORT; location / { return 200 'seen'; } }
}
";

const APACHE: &str = "
ServerRoot FOLDER
ServerName localhost
Listen 127.0.0.1:PORT
PidFile apache.pid
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
User nobody
ErrorLog /dev/null
LogFormat \"%m\\t%U%q\\t%{X-Request-Id}i\" seen
CustomLog /dev/stdout seen
DocumentRoot FOLDER
MaxKeepAliveRequests 0
";

/// A kind of service.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Node's `http`.
    Node,
    /// A WSGI application under gunicorn.
    Gunicorn,
    /// Python's `http.server`.
    Python,
    /// The same, as it comes: it reads no bodies, and takes them for requests.
    Unread,
    /// nginx.
    Nginx,
    /// Apache httpd.
    Apache,
}

/// A running service, which ends with the test.
pub struct Server {
    shell: Child,
    input: Option<ChildStdin>,
    lines: Arc<Mutex<Vec<String>>>,
    port: u16,
    /// Bound and not listening: nobody else is given its port.
    _port: Socket,
    _folder: TempDir,
}

impl Server {
    /// Starts one. What is missing on this machine fails the test when nothing answers.
    pub fn start(kind: Kind) -> Self {
        let folder = TempDir::with_prefix("portcullis-framing-").unwrap();
        let held = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        held.set_reuse_address(true).unwrap();
        held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        let port = held.local_addr().unwrap().as_socket().unwrap().port();
        fs::create_dir(folder.path().join("public")).unwrap();
        fs::write(folder.path().join("public/twin"), "seen").unwrap();
        let command = kind.command(folder.path(), port);
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg("\"$@\" </dev/null & pid=$!; cat >/dev/null; kill \"$pid\"; wait \"$pid\"")
            .arg("sh")
            .args(&command)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (shared, stdout) = (Arc::clone(&lines), shell.stdout.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                shared.lock().unwrap().push(line);
            }
        });
        Self {
            input: shell.stdin.take(),
            shell,
            lines,
            port,
            _port: held,
            _folder: folder,
        }
    }

    /// Where it listens, once it does.
    pub fn url(&self) -> String {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        eventually("the service to listen", || {
            std::net::TcpStream::connect(address).ok()
        });
        format!("http://{address}")
    }

    /// What it has read so far.
    pub fn seen(&self) -> Seen {
        let lines = self.lines.lock().unwrap();
        let parts = |line: &String| {
            let mut words = line.split('\t').map(str::to_owned);
            let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
            let ids = words.flat_map(|ids| ids.split(", ").map(str::to_owned).collect::<Vec<_>>());
            (method, target, ids.collect())
        };
        lines.iter().map(parts).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The shell reads to the end of its input, and ends the service then.
        drop(self.input.take());
        let _ = self.shell.wait();
    }
}

impl Kind {
    fn command(self, folder: &Path, port: u16) -> Vec<String> {
        let python = || {
            env::var("PORTCULLIS_TEST_PYTHON").unwrap_or_else(|_| {
                panic!("PORTCULLIS_TEST_PYTHON is not set: start the tests with tests/run")
            })
        };
        let shown = folder.display().to_string();
        let write = |name: &str, text: &str| {
            let text = text
                .replace("PORT", &port.to_string())
                .replace("FOLDER", &shown);
            fs::write(folder.join(name), text).unwrap();
            folder.join(name).display().to_string()
        };
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        match self {
            Self::Node => words(&["node", &write("seen.js", NODE)]),
            Self::Gunicorn => {
                write("seen.py", WSGI);
                let bind = format!("127.0.0.1:{port}");
                words(&[
                    &python(),
                    "-m",
                    "gunicorn",
                    "--log-level",
                    "critical",
                    "--threads",
                    "4",
                    "-b",
                    &bind,
                    "seen:app",
                ])
            }
            Self::Python | Self::Unread => {
                let unread = matches!(self, Self::Unread);
                let program = PYTHON.replace("UNREAD", if unread { "True" } else { "False" });
                words(&[&python(), &write("seen.py", &program)])
            }
            Self::Nginx => words(&[
                "/usr/sbin/nginx",
                "-p",
                &shown,
                "-c",
                &write("nginx.conf", NGINX),
            ]),
            Self::Apache => words(&[
                "/usr/sbin/apache2",
                "-D",
                "FOREGROUND",
                "-f",
                &write("apache.conf", APACHE),
            ]),
        }
    }
}
