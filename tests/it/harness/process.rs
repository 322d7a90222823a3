//! The real binary as a child process: its output collected, its life bound to ours.

use std::fs::{self, DirEntry};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{eventually, within};

/// Names a shell script that starts the binary, which is its arguments, where a test has it started in another way than
/// usual.
pub const WRAPPER: &str = "PORTCULLIS_TEST_WRAPPER";

/// The binary under test.
pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_portcullis"))
}

/// What a finished command said.
#[derive(Debug, Clone)]
pub struct Said {
    /// The exit code, when it ended by itself.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Both streams together.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Fails the test unless the command answered 0.
    pub fn fine(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.all());
        self
    }
}

/// Runs the binary in `folder` to its end, with `input` on its standard input.
pub fn run(folder: &Path, arguments: &[&str], input: &str) -> Said {
    run_with(folder, arguments, input, &[])
}

/// The same, with these environment variables besides ours.
pub fn run_with(
    folder: &Path,
    arguments: &[&str],
    input: &str,
    environment: &[(&str, &str)],
) -> Said {
    let mut child = Command::new(binary())
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running child that dies with us, however we end.
pub struct Process {
    child: Mutex<Child>,
    pid: u32,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
    _guard: Guard,
}

impl Process {
    /// Starts the binary in `folder`; `environment` is added to ours.
    pub fn start(folder: &Path, arguments: &[&str], environment: &[(String, String)]) -> Self {
        let wrapper = environment.iter().find(|(name, _)| name == WRAPPER);
        let Some((_, script)) = wrapper else {
            return Self::of(&binary(), folder, arguments, environment);
        };
        let binary = binary();
        let mut all = vec!["-c", script, "sh", binary.to_str().unwrap()];
        all.extend_from_slice(arguments);
        Self::of(Path::new("sh"), folder, &all, environment)
    }

    /// The same with another program.
    pub fn of(
        program: &Path,
        folder: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
    ) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().cloned())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}; tests/run installs it", program.display())
            });
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        let pid = child.id();
        Self {
            child: Mutex::new(child),
            pid,
            out,
            err,
            _guard: Guard::new(pid, folder),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Standard output so far.
    pub fn out(&self) -> String {
        self.out.lock().unwrap().clone()
    }

    /// Standard error (the log) so far.
    pub fn err(&self) -> String {
        self.err.lock().unwrap().clone()
    }

    /// Sends a signal by name: `HUP`, `TERM`, `KILL`. After `STOP`, no thread of it runs.
    pub fn signal(&self, name: &str) {
        let pid = self.pid.to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(sent.unwrap().success(), "kill -{name} {pid}");
        if name == "STOP" {
            // The others go on until the one that takes the signal is next.
            eventually("all to stand still", || {
                stands_still(&pid).unwrap_or_default().then_some(())
            });
        }
    }

    /// How it ended, when it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn wait(&self) -> ExitStatus {
        eventually("the gateway to end", || self.ended())
    }

    /// Waits until standard output holds `line`; `Err` with all output when the process ends first.
    pub fn wait_for_line(&self, line: &str) -> Result<(), String> {
        let ready = || {
            let found = self.out().lines().any(|said| said.trim() == line);
            (found || self.ended().is_some()).then_some(found)
        };
        match within(std::time::Duration::from_mins(1), ready) {
            Some(true) => Ok(()),
            _ => Err(format!("no `{line}`:\n{}\n{}", self.out(), self.err())),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&text);
    thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            let mut text = shared.lock().unwrap();
            text.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    text
}

/// A shell that waits for our end (its standard input closes) and then clears up: gateways that tests
/// share live in statics, which nobody drops.
pub struct Guard {
    shell: Child,
    _input: ChildStdin,
}

impl Guard {
    /// Watches over the process and the folder.
    pub fn new(pid: u32, folder: &Path) -> Self {
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg("cat >/dev/null; kill -9 \"$0\" 2>/dev/null; rm -rf -- \"$1\"")
            .arg(pid.to_string())
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = shell.stdin.take().unwrap();
        Self {
            shell,
            _input: input,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Whether all threads of a process are stopped (`proc_pid_stat(5)`); none where one has just ended.
fn stands_still(pid: &str) -> Option<bool> {
    let mut threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let stopped = |thread: &DirEntry| {
        let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
        Some(stat.rsplit_once(") ")?.1.starts_with('T'))
    };
    threads.try_fold(true, |all, thread| Some(all && stopped(&thread.ok()?)?))
}
