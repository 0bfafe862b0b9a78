//! Questions of a hook module to the whole program over a component link on loopback: how many per second, and per
//! second of processor time. As a reference, the same bytes go through a plain echo in the same run.
//!
//! `cargo bench --bench hook [QUESTIONS] [BANS]`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sha1::{Digest, Sha1};

const DOMAIN: &str = "portcullis.example.org";
const SECRET: &str = "s3cr3t";
/// Numbers of questions in flight; a busy server has as many logins at a time.
const WINDOWS: [usize; 3] = [1, 32, 512];
/// Unit in which the kernel counts processor time: ticks per second.
const TICKS: f64 = 100.0;

fn main() {
    let mut numbers = std::env::args().filter_map(|arg| arg.parse::<usize>().ok());
    let questions = numbers.next().unwrap_or(400_000);
    let bans = numbers.next().unwrap_or(100_000);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let child = Running(program(
        folder.path(),
        listener.local_addr().unwrap().port(),
    ));
    let mut link = Link::accept(&listener);
    link.ban(bans);
    println!("{bans} bans in force, {questions} questions of account and address");
    for window in WINDOWS {
        let count = if window == 1 {
            questions / 20
        } else {
            questions
        };
        let before = child.cpu();
        let wall = link.ask(count, window);
        let cpu = child.cpu() - before;
        println!(
            "portcullis  {window:4} at a time: {:8.0} /s, {:8.0} /s of one core, {:6.1} µs each",
            rate(count, wall),
            count as f64 / cpu.max(1.0 / TICKS),
            wall.as_secs_f64() * 1e6 / count as f64 * window as f64,
        );
    }
    let mut echo = Link::to(echo());
    for window in WINDOWS {
        let count = if window == 1 {
            questions / 20
        } else {
            questions
        };
        let wall = echo.ask(count, window);
        println!(
            "plain echo  {window:4} at a time: {:8.0} /s",
            rate(count, wall)
        );
    }
}

fn rate(count: usize, wall: Duration) -> f64 {
    count as f64 / wall.as_secs_f64()
}

struct Running(Child);

impl Running {
    /// Processor time of the program so far, in seconds.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        let ticks: f64 = fields[11..=12]
            .iter()
            .map(|field| field.parse::<f64>().unwrap())
            .sum();
        ticks / TICKS
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(folder: &Path, port: u16) -> Child {
    let write = |name: &str, text: &str| {
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create(true).mode(0o600);
        options
            .open(folder.join(name))
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    };
    let binary = env!("CARGO_BIN_EXE_portcullis");
    let keys = Command::new(binary).arg("keygen").output().unwrap().stdout;
    write("seal.key", &String::from_utf8(keys).unwrap());
    write(
        "portcullis.toml",
        &format!(
            "admins = ['admin@example.org']\n[component]\ndomain = '{DOMAIN}'\nserver = '127.0.0.1:{port}'\nsecret = '{SECRET}'\n\
             [store]\npath = 'store'\n[record]\nseal_key_file = 'seal.key'\n[log]\nlevel = 'warn'\n\
             [[rules]]\nname = 'all'\nkey = 'pair'\ncounts = 'failures'\nlimit = 1\nwindow = '1h'\nban = '1d'\n"
        ),
    );
    Command::new(binary)
        .args(["run", "-c"])
        .arg(folder.join("portcullis.toml"))
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Starts a server that sends every byte back; returns its port.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..read]).unwrap();
        }
    });
    port
}

struct Link {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Link {
    fn to(port: u16) -> Link {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Link {
            stream,
            heard: Vec::new(),
        }
    }

    /// Accepts the program's connection with the handshake of XEP-0114, as a server does.
    fn accept(listener: &TcpListener) -> Link {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut link = Link {
            stream,
            heard: Vec::new(),
        };
        link.until("<stream:stream");
        link.until(">");
        link.say(&format!(
            "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' \
             xmlns='jabber:component:accept' from='{DOMAIN}' id='s1'>"
        ));
        let digest = Sha1::digest(format!("s1{SECRET}"));
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        link.until(&digest);
        link.until("</handshake>");
        link.say("<handshake/>");
        link
    }

    fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    fn until(&mut self, what: &str) {
        let mut buffer = [0; 64 * 1024];
        loop {
            if let Some(at) = find(&self.heard, what.as_bytes()) {
                self.heard.drain(..at + what.len());
                return;
            }
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the other side is gone");
            self.heard.extend_from_slice(&buffer[..read]);
        }
    }

    fn ban(&mut self, bans: usize) {
        for from in (0..bans).step_by(500) {
            let logins: String = (from..bans.min(from + 500))
                .map(|n| {
                    let (a, b, c) = (n / 62_500, n / 250 % 250, n % 250);
                    format!("<login account='u{n}@example.org' address='10.{a}.{b}.{c}' mechanism='PLAIN' outcome='failure'/>")
                })
                .collect();
            self.say(&format!(
                "<iq type='set' id='r{from}' from='example.org/portcullis' to='{DOMAIN}'>\
                 <report xmlns='urn:portcullis:hook:1' node='n'>{logins}</report></iq>"
            ));
            self.until(&format!("r{from}'"));
        }
    }

    /// Asks `count` questions, `window` of them in flight.
    fn ask(&mut self, count: usize, window: usize) -> Duration {
        let question = |n: usize| {
            let (a, b) = (n / 250 % 250, n % 250);
            format!(
                "<iq type='get' id='q{n}' from='example.org/portcullis' to='{DOMAIN}'><check xmlns='urn:portcullis:hook:1' \
                 account='user{}@example.org' address='203.0.{a}.{b}' mechanism='SCRAM-SHA-1'/></iq>",
                n % 10_000
            )
        };
        let began = Instant::now();
        let (mut asked, mut answered) = (0, 0);
        let mut buffer = vec![0; 256 * 1024];
        let (mut batch, mut tail) = (String::new(), 0_u8);
        while answered < count {
            batch.clear();
            while asked < count && asked - answered < window {
                batch.push_str(&question(asked));
                asked += 1;
            }
            if !batch.is_empty() {
                self.say(&batch);
            }
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the other side is gone");
            // Each answer ends with `</iq>`, and `q>` occurs nowhere else.
            for byte in &buffer[..read] {
                answered += usize::from(tail == b'q' && *byte == b'>');
                tail = *byte;
            }
        }
        began.elapsed()
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
