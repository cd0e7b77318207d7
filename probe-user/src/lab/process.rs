//! A process that may have ended long ago, and whose number may have gone to another since.

use std::{fs, io, thread, time::Duration};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// A process, told from every other by its number and the moment of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The process's number.
    pub pid: i32,
    /// When it started, in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start_time: u64,
}

/// How long a process may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);

/// How often its end is looked for.
const PAUSE: Duration = Duration::from_millis(5);

impl Process {
    /// The process with this number, if it is running.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        running_since(&stat).map(|start_time| Self { pid, start_time })
    }

    /// All running processes whose environment holds exactly this variable.
    pub(super) fn with_variable(name: &str, value: &str) -> io::Result<Vec<Self>> {
        let wanted = format!("{name}={value}");
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // Processes come and go while we look; one that is gone needs no ending.
            let Some(process) = Self::of(pid) else {
                continue;
            };
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            if environment.split(|&octet| octet == 0).any(|variable| variable == wanted.as_bytes())
                && process.is_running()
            {
                found.push(process);
            }
        }
        Ok(found)
    }

    /// Whether this very process, and not another of the same number, is still running.
    pub(super) fn is_running(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Ends the process: politely first, by force after three seconds. Success when it is gone, whoever ended it.
    pub(super) fn end(self) -> io::Result<()> {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if !self.is_running() {
                break;
            }
            match kill(Pid::from_raw(self.pid), signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
            let mut waited = Duration::ZERO;
            while waited < GRACE && self.is_running() {
                thread::sleep(PAUSE);
                waited += PAUSE;
            }
        }
        if self.is_running() {
            return Err(io::Error::other(format!("process {} did not end", self.pid)));
        }
        // If it was a child of this very process, do not leave a zombie; if it was not, there is nothing to collect.
        let _ = waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG));
        Ok(())
    }
}

/// The start time out of a line of `/proc/PID/stat`, unless the process is a zombie or dead.
fn running_since(stat: &str) -> Option<u64> {
    // The second field is the command's name in parentheses and may itself hold spaces and parentheses.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    // The state is field 3, so field 22 is 18 further behind it.
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field n holds the number n, so that an off-by-one shows.
    fn stat(name: &str, state: &str) -> String {
        let rest: Vec<String> = (4..=52).map(|field: u32| field.to_string()).collect();
        format!("4711 ({name}) {state} {}\n", rest.join(" "))
    }

    #[test]
    fn the_start_time_is_field_22_whatever_the_name() {
        assert_eq!(running_since(&stat("sleep", "S")), Some(22));
        assert_eq!(running_since(&stat("a) R 1 (b", "R")), Some(22));
    }

    #[test]
    fn the_dead_do_not_run() {
        assert_eq!(running_since(&stat("sleep", "Z")), None);
        assert_eq!(running_since("garbage"), None);
    }

    #[test]
    fn another_process_of_the_same_number_is_another_process() {
        let myself = Process::of(std::process::id().cast_signed()).expect("the test is running");
        assert!(myself.is_running());
        let earlier = Process { start_time: myself.start_time - 1, ..myself };
        assert!(!earlier.is_running());
        assert!(earlier.end().is_ok(), "must not end the process that has the number now");
    }

    #[test]
    fn a_process_is_found_by_its_variable_and_ended() {
        let value = format!("{}", std::process::id());
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env("LEADLINE_TEST_MARK", &value)
            .spawn()
            .expect("sleep is everywhere");
        // The kernel shows a new program's variables a moment after it lets its parent go on.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let found = loop {
            let found = Process::with_variable("LEADLINE_TEST_MARK", &value).expect("/proc can be read");
            if !found.is_empty() || std::time::Instant::now() > deadline {
                break found;
            }
        };
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [child.id().cast_signed()]);
        found[0].end().expect("it is our child");
        assert!(!found[0].is_running());
        // Already collected by `end`.
        let _ = child.try_wait();
    }
}
