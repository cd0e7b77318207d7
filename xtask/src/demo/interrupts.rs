//! Ctrl-C and its like, held back until the lab is gone. The programs that are started get them all the same, for a
//! handler does not outlive `exec`: so the measurement ends early, and the clearing up goes on.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::error::Error;

const NONE: usize = 0;

/// While this is there, an interrupt is only noted.
pub(crate) struct Interrupts {
    last: Arc<AtomicUsize>,
}

impl Interrupts {
    /// From now on, interrupts are noted.
    pub(crate) fn hold() -> Result<Self, Error> {
        let last = Arc::new(AtomicUsize::new(NONE));
        for (signal, noted) in [(SIGINT, SIGINT as usize), (SIGTERM, SIGTERM as usize), (SIGHUP, SIGHUP as usize)] {
            flag::register_usize(signal, Arc::clone(&last), noted).map_err(Error::Signals)?;
        }
        Ok(Self { last })
    }

    /// The interrupt that came last, if any came, takes effect now: it ends this process, as the one who sent it expects.
    pub(crate) fn release(self) -> Result<(), Error> {
        self.came().map_or(Ok(()), |signal| low_level::emulate_default_handler(signal).map_err(Error::Signals))
    }

    fn came(&self) -> Option<c_int> {
        let last = self.last.load(Ordering::SeqCst);
        (last != NONE).then(|| c_int::try_from(last).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    fn interrupt(process: u32) {
        let sent = Command::new("kill").args(["-INT", &process.to_string()]).status().expect("kill can be started");
        assert!(sent.success());
    }

    #[test]
    fn an_interrupt_is_noted_here_and_ends_a_program_that_was_started() {
        let interrupts = Interrupts::hold().expect("handlers can be set");
        assert_eq!(interrupts.came(), None);

        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep can be started");
        interrupt(child.id());
        assert_eq!(child.wait().expect("our own child can be waited for").signal(), Some(SIGINT));
        assert_eq!(interrupts.came(), None);

        interrupt(std::process::id());
        // The kernel hands the signal to some thread of this process, soon.
        while interrupts.came().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(interrupts.came(), Some(SIGINT));
    }
}
