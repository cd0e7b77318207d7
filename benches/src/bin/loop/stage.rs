//! Where both loops run: a lab of their own, one CPU, and nothing left behind.

use std::process;
use std::thread;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use probe_user::lab::{Lab, LabOptions, Layout, Namespace};

use crate::Outcome;

/// A lab without a reflector; it goes when dropped, and when the user ends the bench.
pub(crate) struct Stage {
    lab: Lab,
    cpu: u32,
}

impl Stage {
    /// Makes the lab.
    ///
    /// # Errors
    /// The lab cannot be made, most often for want of root; or there is no such CPU.
    pub(crate) fn set(cpu: u32) -> Outcome<Self> {
        clear_when_ended()?;
        let options = LabOptions { layout: layout(), ..LabOptions::without_reflector() };
        if cpu >= options.queues {
            return Err(format!("there is no CPU {cpu}: give one below {}", options.queues).into());
        }
        Ok(Self { lab: Lab::up(options)?, cpu })
    }

    /// Runs work at the sender's end, in a thread of its own on the one CPU; threads that it starts stay there too.
    ///
    /// # Errors
    /// Those of the work, or the namespace cannot be entered.
    pub(crate) fn near<T: Send>(&self, work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
        self.within(self.lab.sender(), work)
    }

    /// The same at the reflector's end.
    ///
    /// # Errors
    /// Those of the work, or the namespace cannot be entered.
    pub(crate) fn far<T: Send>(&self, work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
        self.within(self.lab.reflector(), work)
    }

    /// The CPU, which is the number of the queue too on which its frames come back.
    pub(crate) const fn cpu(&self) -> u32 {
        self.cpu
    }

    fn within<T: Send>(&self, namespace: &Namespace, work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
        namespace.enter(|| {
            let mut cpus = CpuSet::new();
            cpus.set(self.cpu as usize)?;
            sched_setaffinity(Pid::from_raw(0), &cpus)?;
            work()
        })?
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = Lab::clear(&layout()) {
            eprintln!("cannot remove the bench's lab: {error}");
        }
    }
}

fn layout() -> Layout {
    Layout::named("leadline-bench")
}

/// Has Ctrl-C and `kill` remove the lab first. The signals are blocked in every thread, `measure`'s included, and one
/// thread waits for them.
fn clear_when_ended() -> Outcome<()> {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGINT);
    ends.add(Signal::SIGTERM);
    ends.thread_block()?;
    thread::Builder::new().name("end".to_owned()).spawn(move || {
        if let Ok(signal) = ends.wait() {
            // The process ends in any case; the next run clears what is left.
            let _ = Lab::clear(&layout());
            process::exit(128 + signal as i32);
        }
    })?;
    Ok(())
}
