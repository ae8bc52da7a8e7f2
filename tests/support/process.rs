//! A child process that says on stdout when it is ready, and never outlives its test.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a process may take to be ready, or to end. Far more than it needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Process {
    child: Child,
    /// Its stdout by lines; disconnected once it has ended.
    lines: Receiver<String>,
    name: String,
}

impl Process {
    /// Starts it and waits for the line that holds `ready`; gives what follows there.
    pub fn start(command: &mut Command, ready: &str) -> (Process, String) {
        let process = Process::spawn(Stdio::null(), command);
        let said = process.wait_for(ready);
        (process, said)
    }

    /// Runs one that should end by itself, and gives what it wrote on stderr.
    pub fn run(command: &mut Command) -> (ExitStatus, String) {
        let mut process = Process::spawn(Stdio::null(), command.stderr(Stdio::piped()));
        let status = process.ended();
        let mut said = String::new();
        process.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }

    /// Starts it with a listening socket as systemd does: as descriptor 3.
    pub fn activate(socket: &TcpListener, command: &Command) -> Process {
        let mut shell = Command::new("sh");
        shell.args(["-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 </dev/null"]);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        Process::spawn(OwnedFd::from(socket.try_clone().unwrap()).into(), &mut shell)
    }

    fn spawn(stdin: Stdio, command: &mut Command) -> Process {
        let name = command.get_program().to_string_lossy().into_owned();
        let spawned = command.stdin(stdin).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {name}: {error}; ./test installs it"));
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        // a thread, so that a full pipe never blocks the process; it ends with the process
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Process { child, lines, name }
    }

    /// Waits for the line that holds this; gives what follows there.
    pub fn wait_for(&self, ready: &str) -> String {
        let mut seen = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.split_once(ready) {
                    Some((_, rest)) => return rest.to_string(),
                    None => seen.push(line),
                },
                Err(_) => panic!("{} never said {ready:?}; it said {seen:#?}", self.name),
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM. One that has ended by itself does not mind.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// SIGTERM, then its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.ended()
    }

    /// SIGKILL: it cannot save anything.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.ended();
    }

    /// Waits for its end. Its stdout closes then, which is waited for, as a wait on a child knows no time-out.
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("{} did not end", self.name),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // it may have ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
