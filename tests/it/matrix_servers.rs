//! Real services of other people's making, unmodified: started on a free port, ended with the test.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::within;

/// What only the protected page says.
pub const SECRET: &str = "the-secret-of-the-protected-page";
/// What the public page says.
pub const PUBLIC: &str = "the-text-of-the-public-page";

/// The same small application in Flask: two pages, a mirror of the identity headers, and nothing else.
const FLASK: &str = "
from flask import Flask, request
app = Flask(__name__)

@app.route('/admin/users')
def users():
    return 'SECRET'

@app.route('/public/x')
def public():
    return 'PUBLIC'

@app.route('/public/whoami', methods=['GET', 'POST'])
def whoami():
    names = [k for k in request.environ if k.startswith('HTTP_') and 'AUTH' in k]
    return ''.join('%s=%s;' % (k, request.environ[k]) for k in sorted(names)) + 'END'
";

/// And in Node, as many small services find their page: by the path of a parsed URL.
const NODE: &str = "
const http = require('http');
const server = http.createServer((request, response) => {
  let path = '';
  try { path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname); } catch (error) { path = ''; }
  path = path.replace(/\\/+/g, '/');
  if (path === '/admin/users') return response.end('SECRET');
  if (path === '/public/x') return response.end('PUBLIC');
  if (path === '/public/whoami') {
    const names = Object.keys(request.headers).filter((name) => /auth/i.test(name)).sort();
    return response.end(names.map((name) => name + '=' + request.headers[name] + ';').join('') + 'END');
  }
  response.statusCode = 404;
  response.end('nothing here');
});
server.listen(0, '127.0.0.1', () => console.log('listening at http://127.0.0.1:' + server.address().port));
";

/// A kind of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Python's own file server.
    HttpServer,
    /// Flask under gunicorn.
    Gunicorn,
    /// Flask's development server.
    FlaskDev,
    /// Node's `http`.
    Node,
}

/// A running service.
pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    shell: Child,
    input: Option<ChildStdin>,
    _folder: TempDir,
}

impl Server {
    /// Starts one, or fails the test with what is missing.
    pub fn start(kind: Kind) -> Self {
        let folder = TempDir::with_prefix("portcullis-matrix-").unwrap();
        write(folder.path());
        let command = kind.command(folder.path());
        // The shell ends the service when its own input closes, which happens however this test ends.
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg("\"$@\" </dev/null 2>&1 & pid=$!; cat >/dev/null; kill \"$pid\"")
            .arg("sh")
            .args(&command)
            .current_dir(folder.path())
            .env("PYTHONUNBUFFERED", "1")
            .env_remove("FLASK_DEBUG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = shell.stdin.take().unwrap();
        let said = collect(shell.stdout.take().unwrap());
        let port = within(Duration::from_secs(30), || port_in(&said.lock().unwrap()));
        let port = port.unwrap_or_else(|| {
            panic!(
                "{kind:?} did not start ({command:?}): {}",
                said.lock().unwrap()
            )
        });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            shell,
            input: Some(input),
            _folder: folder,
        }
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
    fn command(self, folder: &Path) -> Vec<String> {
        let words: &[&str] = match self {
            Self::HttpServer => &[
                "-m",
                "http.server",
                "0",
                "--bind",
                "127.0.0.1",
                "--directory",
                "docroot",
            ],
            Self::Gunicorn => &[
                "-m",
                "gunicorn",
                "-b",
                "127.0.0.1:0",
                "--threads",
                "4",
                "service:app",
            ],
            Self::FlaskDev => &["-m", "flask", "--app", "service", "run", "--port", "0"],
            Self::Node => &["service.js"],
        };
        let program = match self {
            Self::Node => node(),
            _ => python(folder),
        };
        let words = words.iter().map(ToString::to_string);
        std::iter::once(program).chain(words).collect()
    }
}

/// A Python that has Flask and gunicorn, as `tests/run` prepares it.
fn python(folder: &Path) -> String {
    let python = env::var("PORTCULLIS_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("PORTCULLIS_TEST_PYTHON is not set: start the tests with tests/run, or name a Python with flask and gunicorn")
    });
    let has = Command::new(&python)
        .args(["-c", "import flask, gunicorn"])
        .current_dir(folder)
        .output();
    match has {
        Ok(output) if output.status.success() => python,
        Ok(output) => panic!(
            "{python} lacks flask or gunicorn: {}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("{python} does not run: {error}"),
    }
}

fn node() -> String {
    let found = Command::new("node").arg("--version").output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "node is missing: install Node.js (tests/run does on Debian)"
    );
    "node".to_owned()
}

fn write(folder: &Path) {
    let fill = |text: &str| text.replace("SECRET", SECRET).replace("PUBLIC", PUBLIC);
    fs::write(folder.join("service.py"), fill(FLASK)).unwrap();
    fs::write(folder.join("service.js"), fill(NODE)).unwrap();
    let docroot = folder.join("docroot");
    for below in ["admin", "public", "x"] {
        fs::create_dir_all(docroot.join(below)).unwrap();
    }
    fs::write(docroot.join("admin/users"), SECRET).unwrap();
    fs::write(docroot.join("public/x"), PUBLIC).unwrap();
}

fn collect(stream: impl std::io::Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&text);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut text = shared.lock().unwrap();
            // The access lines of thousands of requests are of no use.
            if text.len() < 10_000 {
                text.push_str(&line);
                text.push('\n');
            }
        }
    });
    text
}

/// The port in `http://127.0.0.1:PORT` or `port PORT`, whichever a server prints.
fn port_in(said: &str) -> Option<u16> {
    let places = ["http://127.0.0.1:", "127.0.0.1 port "];
    places.iter().find_map(|place| {
        let rest = &said[said.find(place)? + place.len()..];
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|port| *port > 0)
    })
}
