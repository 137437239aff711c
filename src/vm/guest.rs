//! A guest: QEMU as a child process, with a second serial port over which the guest's `init` runs
//! commands.

use crate::report::Failure;
use crate::signals;
use crate::text::plain;
use crate::vm::setup::{Kernel, Tools};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
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
    /// Whether the card is behind a root port, which hears of its errors, and not in the root complex itself.
    pub port: bool,
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
    monitor: PathBuf,
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
/// How often a wait looks for a signal.
const ATTENTION: Duration = Duration::from_millis(100);
const MARK: u8 = 1;
/// QEMU's name of the card.
pub const CARD: &str = "card";
/// What the guest's `init` says when it takes commands.
const READY: &str = "ready";
const PANIC: &str = "Kernel panic";
/// What its kernel says when it ends.
const OFF: &str = "reboot: Power down";

/// QEMU ends with us whatever ends us, and a terminal's Ctrl-C is for us to pass on.
fn ends_with_us(command: &mut Command) {
    command.process_group(0);
    // SAFETY: between fork and exec this makes one system call and nothing else.
    unsafe {
        command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?));
    }
}

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
        // The memory is a file, since the process of the card maps it.
        command.args(["-object", &format!("memory-backend-memfd,id=m0,size={memory}M,share=on")]);
        command.args(["-machine", "memory-backend=m0"]);
        command.arg("-serial").arg(format!("file:{}", console.display()));
        command.arg("-chardev").arg(format!("socket,id=agent,path={}", port.display()));
        command.args(["-serial", "chardev:agent"]);
        let monitor = folder.join(format!("monitor{number}"));
        command.arg("-monitor").arg(format!("unix:{},server=on,wait=off", monitor.display()));
        if shape.iommu {
            command.args(["-device", "intel-iommu,caching-mode=on"]);
        }
        if shape.port {
            command.args(["-device", "pcie-root-port,id=rp,chassis=1,slot=1"]);
        }
        if let Some(socket) = shape.socket {
            let device = serde_json::json!({
                "driver": "vfio-user-pci",
                "id": CARD,
                "bus": if shape.port { "rp" } else { "pcie.0" },
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
        ends_with_us(&mut command);
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
            let stopped = signals::check(|| format!("guest {number} had not started"));
            if stopped.is_err() {
                let _ = child.kill();
                let _ = child.wait();
                stopped?;
            }
            if child.try_wait().map_err(cannot)?.is_some() || begin.elapsed() > BOOT {
                let _ = child.kill();
                let _ = child.wait();
                let said = fs::read(&errors).unwrap_or_default();
                let said = last_lines(&plain(&String::from_utf8_lossy(&said)));
                return Err(Failure::Environment(format!("guest {number}: QEMU: {said}")));
            }
            thread::sleep(Duration::from_millis(10));
        };
        agent.set_nonblocking(false).map_err(cannot)?;
        Ok(Guest { number, child, agent, console, errors, monitor, rest: Vec::new() })
    }

    /// Waits until the guest is ready for commands.
    pub fn booted(&mut self) -> Result<(), Failure> {
        self.until(READY, BOOT, &mut |_| ()).map(|_| ())
    }

    /// What went wrong, with the last that the guest and QEMU said.
    fn lost(&mut self, what: &str) -> Failure {
        let text = |path: &Path| {
            let bytes = fs::read(path).unwrap_or_default();
            plain(&String::from_utf8_lossy(&bytes)).into_owned()
        };
        let (console, errors) = (text(&self.console), text(&self.errors));
        let end = self.end_of_qemu().map(|status| ended(&console, &status));
        let mut message = format!("guest {}: {}", self.number, end.as_deref().unwrap_or(what));
        for (who, said) in
            [("its console's last", last_lines(&console)), ("QEMU", last_lines(&errors))]
        {
            if !said.is_empty() {
                message += &format!("; {who}: {said}");
            }
        }
        Failure::Check(message)
    }

    /// Whether the guest has ended as it should.
    pub fn has_powered_off(&mut self) -> bool {
        let off = String::from_utf8_lossy(&self.console()).contains(OFF);
        off && self.end_of_qemu().is_some_and(|status| status.success())
    }

    /// How QEMU ended, if it has or is about to.
    fn end_of_qemu(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                status => return status.ok().flatten(),
            }
        }
    }

    /// Passes on output until a mark with `word`; what follows the word.
    fn until(
        &mut self,
        word: &str,
        patience: Duration,
        output: &mut dyn FnMut(&[u8]),
    ) -> Result<String, Failure> {
        let number = self.number;
        let deadline = Instant::now() + patience;
        let mut buffer = [0; 4096];
        loop {
            // A mark is complete once its line has ended. The text before it is output.
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
            signals::check(|| match word {
                READY => format!("guest {number} was booting"),
                _ => format!("guest {number} was at its command"),
            })?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.lost(&format!("no answer in {} s", patience.as_secs())));
            }
            let _ = self.agent.set_read_timeout(Some(left.min(ATTENTION)));
            match self.agent.read(&mut buffer) {
                Ok(0) => return Err(self.lost("its second serial port has gone")),
                Ok(len) => self.rest.extend_from_slice(&buffer[..len]),
                Err(e) if is_no_end(&e) => {}
                Err(e) => return Err(self.lost(&e.to_string())),
            }
        }
    }

    /// Tells QEMU's monitor something.
    pub fn monitor(&self, command: &str) -> Result<(), Failure> {
        let said = UnixStream::connect(&self.monitor).and_then(|mut monitor| {
            monitor.set_read_timeout(Some(Duration::from_secs(10)))?;
            monitor.write_all(format!("{command}\n").as_bytes())?;
            // One prompt comes before the command and one after it.
            let mut said = String::new();
            let mut buffer = [0; 4096];
            while said.matches("(qemu)").count() < 2 {
                let len = monitor.read(&mut buffer)?;
                said += &String::from_utf8_lossy(&buffer[..len]);
                if len == 0 {
                    break;
                }
            }
            Ok(said)
        });
        let number = self.number;
        match said {
            Ok(said) if said.contains("OK") => Ok(()),
            Ok(said) => {
                let last = said.lines().rev().nth(1).unwrap_or_default().to_string();
                Err(Failure::Check(format!("guest {number}: {command}: QEMU says {last}")))
            }
            Err(e) => Err(Failure::Environment(format!("guest {number}: QEMU's monitor: {e}"))),
        }
    }

    /// Starts a shell command.
    pub fn start(&mut self, command: &str) -> Result<(), Failure> {
        let message = format!("{}\n{command}", command.len());
        let sent = self.agent.write_all(message.as_bytes());
        sent.map_err(|e| self.lost(&format!("it takes no command: {e}")))
    }

    /// Waits for a command's end and passes on its output; its exit status.
    pub fn wait(
        &mut self,
        patience: Duration,
        mut output: impl FnMut(&[u8]),
    ) -> Result<i32, Failure> {
        let status = self.until("exit", patience, &mut output)?;
        status.parse().map_err(|_| self.lost("its command ended without an exit status"))
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
            while Instant::now() < deadline
                && signals::caught().is_none()
                && matches!(self.child.try_wait(), Ok(None))
            {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Nothing has come in time, or a signal has.
pub fn is_no_end(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// The last lines of a text, on one; not what QEMU warns of each time.
fn last_lines(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.contains(": warning: "));
    let lines: Vec<_> = lines.collect();
    lines[lines.len().saturating_sub(5)..].join(" / ")
}

/// What became of a guest whose QEMU has ended, by its kernel's last words.
fn ended(console: &str, status: &ExitStatus) -> String {
    let words = [
        ("reboot: Restarting system", "it has rebooted, which ends the machine"),
        (OFF, "it has powered off, which ends the machine"),
        ("reboot: System halted", "it has halted"),
    ];
    // A panic counts before the reboot that it ends in.
    if let Some(at) = console.find(PANIC) {
        let line = console[at..].lines().next().unwrap_or_default();
        return format!("its kernel has panicked, which ends the machine: {line}");
    }
    let said = words.iter().find(|(word, _)| console.contains(word));
    match said {
        Some((_, what)) if status.success() => what.to_string(),
        Some((_, what)) => format!("{what} (QEMU ended: {status})"),
        None if status.success() => "it has ended without a word of why".to_string(),
        None => format!("QEMU ended: {status}"),
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_guests_end_is_told_by_its_last_words() {
        let (well, killed) = (ExitStatus::from_raw(0), ExitStatus::from_raw(9));
        let told = |console: &str, status| ended(console, status);
        assert!(told("[ 3.1] reboot: Restarting system\n", &well).contains("rebooted"));
        assert!(told("Kernel panic - not syncing\nreboot: Restarting system", &well)
            .contains("panicked"));
        assert!(told("[ 3.1] reboot: Power down\n", &well).contains("powered off"));
        assert!(told("booting", &killed).contains("signal: 9"));
        assert!(!told("booting", &well).contains("exit status"));
        assert_eq!(last_lines("\na\n\n b \nc\nd\ne\nf\n"), "b / c / d / e / f");
    }
}
