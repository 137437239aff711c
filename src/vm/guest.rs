//! A guest: QEMU as a child process, and the second serial port, over which its `init` runs commands.

use crate::report::Failure;
use crate::vm::setup::{Kernel, Tools};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a guest has besides its kernel.
pub struct Shape<'a> {
    pub number: usize,
    pub processors: u32,
    pub memory_mib: u32,
    /// Of its card; none for one of QEMU's own.
    pub socket: Option<&'a Path>,
    /// Whether the guest has an IOMMU, which its kernel uses strictly: a page is mapped for as long as the card needs it.
    pub iommu: bool,
    /// Whether its /dev/mem reaches registers that a driver has claimed.
    pub relaxed: bool,
    /// More arguments for QEMU.
    pub more: &'a [&'a str],
}

/// See the module. Killed when dropped.
pub struct Guest {
    pub number: usize,
    child: Child,
    agent: UnixStream,
    console: PathBuf,
    errors: PathBuf,
    /// Bytes that came after the end of a command.
    rest: Vec<u8>,
}

/// How a command ended.
pub struct Ran {
    pub output: String,
    pub status: i32,
}

/// How long a guest may take to boot, and by default a command.
const BOOT: Duration = Duration::from_secs(180);
const MARK: u8 = 1;

impl Guest {
    /// Starts a guest; `folder` is for its files.
    pub fn start_up(
        tools: &Tools,
        kernel: &Kernel,
        initramfs: &Path,
        folder: &Path,
        shape: &Shape,
    ) -> Result<Self, Failure> {
        let number = shape.number;
        let cannot = |e: io::Error| Failure::Environment(format!("guest {number}: {e}"));
        let console = folder.join(format!("console{number}"));
        let errors = folder.join(format!("qemu{number}.err"));
        let port = folder.join(format!("agent{number}"));
        let listener = UnixListener::bind(&port).map_err(cannot)?;
        let memory = shape.memory_mib;
        let mut command = tools.qemu();
        command.args(["-M", "q35", "-cpu", "max", "-nographic", "-nodefaults", "-no-reboot"]);
        command.args(["-icount", "shift=3,sleep=on"]);
        command.args(["-smp", &shape.processors.to_string(), "-m", &memory.to_string()]);
        // The card's process maps the guest's memory, so it is a file.
        command.args(["-object", &format!("memory-backend-memfd,id=m0,size={memory}M,share=on")]);
        command.args(["-machine", "memory-backend=m0"]);
        command.arg("-serial").arg(format!("file:{}", console.display()));
        command.arg("-chardev").arg(format!("socket,id=agent,path={}", port.display()));
        command.args(["-serial", "chardev:agent"]);
        if shape.iommu {
            command.args(["-device", "intel-iommu,caching-mode=on"]);
        }
        if let Some(socket) = shape.socket {
            let device = serde_json::json!({
                "driver": "vfio-user-pci",
                "socket": {"type": "unix", "path": socket},
                "x-no-posted-writes": true,
                "x-msg-timeout": 600_000,
            });
            command.arg("-device").arg(device.to_string());
        }
        command.args(shape.more);
        command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
        let mut line = "console=ttyS0 panic=-1 quiet loglevel=4 nokaslr".to_string();
        if shape.iommu {
            line += " intel_iommu=on iommu.strict=1";
        }
        if shape.relaxed {
            line += " iomem=relaxed";
        }
        command.args(["-append", &line]);
        let log = File::create(&errors).map_err(cannot)?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let mut child = child.map_err(cannot)?;

        listener.set_nonblocking(true).map_err(cannot)?;
        let begin = Instant::now();
        let agent = loop {
            match listener.accept() {
                Ok((agent, _)) => break agent,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(cannot(e)),
            }
            if child.try_wait().map_err(cannot)?.is_some() || begin.elapsed() > BOOT {
                let _ = child.kill();
                let _ = child.wait();
                let said = fs::read_to_string(&errors).unwrap_or_default();
                let said = said.trim().replace('\n', "; ");
                return Err(Failure::Environment(format!("guest {number}: QEMU: {said}")));
            }
            thread::sleep(Duration::from_millis(10));
        };
        agent.set_nonblocking(false).map_err(cannot)?;
        Ok(Guest { number, child, agent, console, errors, rest: Vec::new() })
    }

    /// Waits until the guest is ready for commands.
    pub fn booted(&mut self) -> Result<(), Failure> {
        self.until("ready", BOOT, &mut |_| ()).map(|_| ())
    }

    /// What went wrong, with the last that the guest or QEMU said.
    fn lost(&self, what: &str) -> Failure {
        let last = |path: &Path| {
            let text = fs::read(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            lines[lines.len().saturating_sub(5)..].join("; ")
        };
        let (console, errors) = (last(&self.console), last(&self.errors));
        Failure::Check(format!("guest {}: {what} ({console} {errors})", self.number))
    }

    /// Passes on output until a mark with `word`; what follows the word.
    fn until(
        &mut self,
        word: &str,
        patience: Duration,
        output: &mut dyn FnMut(&[u8]),
    ) -> Result<String, Failure> {
        let deadline = Instant::now() + patience;
        let mut buffer = [0; 4096];
        loop {
            // A mark is whole once its line has ended; what comes before it is output.
            let mark = self.rest.iter().position(|&byte| byte == MARK);
            let out = mark.unwrap_or(self.rest.len());
            if out > 0 {
                output(&self.rest[..out]);
                self.rest.drain(..out);
            }
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                if mark.is_some() {
                    let line: Vec<u8> = self.rest.drain(..=end).collect();
                    let line = String::from_utf8_lossy(&line[1..end]).into_owned();
                    match line.strip_prefix(word) {
                        Some(rest) => return Ok(rest.trim().to_string()),
                        None => return Err(self.lost(&format!("it said {line}, not {word}"))),
                    }
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.lost(&format!("no answer in {} s", patience.as_secs())));
            }
            let _ = self.agent.set_read_timeout(Some(left));
            match self.agent.read(&mut buffer) {
                Ok(0) => return Err(self.lost("it has gone")),
                Ok(len) => self.rest.extend_from_slice(&buffer[..len]),
                Err(e)
                    if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(e) => return Err(self.lost(&e.to_string())),
            }
        }
    }

    /// Starts a shell command.
    pub fn start(&mut self, command: &str) -> Result<(), Failure> {
        let message = format!("{}\n{command}", command.len());
        self.agent.write_all(message.as_bytes()).map_err(|e| self.lost(&e.to_string()))
    }

    /// Waits for a command's end and passes on its output; its exit status.
    pub fn wait(
        &mut self,
        patience: Duration,
        mut output: impl FnMut(&[u8]),
    ) -> Result<i32, Failure> {
        let status = self.until("exit", patience, &mut output)?;
        status.parse().map_err(|_| self.lost("no exit status"))
    }

    /// Runs a shell command to its end.
    pub fn run(&mut self, command: &str, patience: Duration) -> Result<Ran, Failure> {
        self.start(command)?;
        self.collect(patience)
    }

    /// Waits for the end of a command that was started.
    pub fn collect(&mut self, patience: Duration) -> Result<Ran, Failure> {
        let mut output = Vec::new();
        let status = self.wait(patience, |bytes| output.extend_from_slice(bytes))?;
        let output = String::from_utf8_lossy(&output).into_owned();
        Ok(Ran { output, status })
    }

    /// All that came from the guest's first serial port: its kernel's console, and programs' that need a terminal.
    pub fn console(&self) -> Vec<u8> {
        fs::read(&self.console).unwrap_or_default()
    }

    /// The stream to the guest's second serial port.
    pub fn agent(&self) -> &UnixStream {
        &self.agent
    }

    /// Lets the guest power off.
    pub fn shut_down(mut self) {
        let off = "sync; poweroff -f";
        if self.start(off).is_ok() {
            let deadline = Instant::now() + Duration::from_secs(20);
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
