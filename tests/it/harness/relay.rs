//! A wire that can be cut, or made long: what lies between the gateway and its database.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const WHOLE: u8 = 0;
const CUT: u8 = 1;
const SILENT: u8 = 2;

/// A port of this machine that leads to another. It is there until the test process ends.
pub struct Relay {
    port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    target: AtomicU16,
    state: AtomicU8,
    /// How long each way takes, in milliseconds.
    way: AtomicU64,
    live: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// Begins to lead to `target`.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner {
            target: AtomicU16::new(target),
            state: AtomicU8::new(WHOLE),
            way: AtomicU64::new(0),
            live: Mutex::default(),
        });
        let shared = Arc::clone(&inner);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                shared.join(&socket);
            }
        });
        Self { port, inner }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// New connections lead to `target` from here on; those that there are stay where they are.
    pub fn lead(&self, target: u16) {
        self.inner.target.store(target, Ordering::SeqCst);
    }

    /// Ends every connection, and every new one at once.
    pub fn cut(&self) {
        self.inner.state.store(CUT, Ordering::SeqCst);
        for socket in self.inner.live.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Takes everything and passes on nothing, without a word.
    pub fn silence(&self) {
        self.inner.state.store(SILENT, Ordering::SeqCst);
    }

    /// From here on each way takes this long, however much is on it.
    pub fn lengthen(&self, way: Duration) {
        let way = u64::try_from(way.as_millis()).unwrap();
        self.inner.way.store(way, Ordering::SeqCst);
    }

    /// Passes everything on again.
    pub fn mend(&self) {
        self.inner.state.store(WHOLE, Ordering::SeqCst);
    }
}

impl Inner {
    fn is(&self, state: u8) -> bool {
        self.state.load(Ordering::SeqCst) == state
    }

    fn join(self: &Arc<Self>, near: &TcpStream) {
        let far = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target.load(Ordering::SeqCst)));
        let (Ok(far), false) = (far, self.is(CUT)) else {
            return;
        };
        let mut live = self.live.lock().unwrap();
        for (from, to) in [(near, &far), (&far, near)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            live.push(from.try_clone().unwrap());
            let inner = Arc::clone(self);
            thread::spawn(move || inner.pass(from, to));
        }
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let (enter, leave) = mpsc::channel::<(Instant, Vec<u8>)>();
        let closing = from.try_clone().unwrap();
        let far = thread::spawn(move || {
            for (due, bytes) in leave {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if to.write_all(&bytes).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
            let _ = closing.shutdown(Shutdown::Both);
        });
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            while self.is(SILENT) {
                thread::sleep(Duration::from_millis(5));
            }
            let way = Duration::from_millis(self.way.load(Ordering::SeqCst));
            if enter
                .send((Instant::now() + way, bytes[..count].to_vec()))
                .is_err()
            {
                break;
            }
        }
        drop(enter);
        let _ = far.join();
    }
}
