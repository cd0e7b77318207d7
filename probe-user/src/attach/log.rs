//! What the programs say of single packets, brought to the process that asked for it.
//!
//! The programs write into a ring that has one reader; a claim sees to that.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use aya::programs::ProgramError;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::slot::Claim;
use super::{AttachError, Core, privilege};

/// How long the reader sleeps when nothing comes, and so how long it takes to stop: milliseconds.
const PATIENCE_MS: u16 = 100;

/// The reading of the programs' log. It ends when the value is dropped.
#[derive(Debug)]
pub struct LogGuard {
    core: Arc<Core>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    _claim: Claim,
}

impl LogGuard {
    pub(super) fn new(
        core: Arc<Core>,
        one_of: u32,
        line: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, AttachError> {
        let claim = Claim::log(core.interface.index)?.ok_or(AttachError::LogTaken)?;
        let logger = EbpfLogger::init_from_id_with_logger(core.program_id, Lines(line)).map_err(unreadable)?;
        let stop = Arc::new(AtomicBool::new(false));
        let reader = thread::Builder::new()
            .name("leadline-log".to_owned())
            .spawn({
                let stop = Arc::clone(&stop);
                move || read(logger, &stop)
            })
            .map_err(|source| AttachError::System { operation: "start the reader of the log", source })?;
        let guard = Self { core, stop, reader: Some(reader), _claim: claim };
        guard.core.maps().set_log_one_of(one_of)?;
        Ok(guard)
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        // If it fails, the interface is gone, and nothing is logged any more.
        let _ = self.core.maps().set_log_one_of(0);
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has said so itself.
            let _ = reader.join();
        }
    }
}

fn read<T: Log>(mut logger: EbpfLogger<T>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let mut descriptors = [PollFd::new(logger.as_fd(), PollFlags::POLLIN)];
        // Whatever ended the sleep, looking costs little.
        let _ = poll(&mut descriptors, PollTimeout::from(PATIENCE_MS));
        logger.flush();
    }
}

/// Makes a line of a record.
struct Lines<F>(F);

impl<F: Fn(&str) + Send + Sync> Log for Lines<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        (self.0)(&format!("ebpf {}: {}", record.level().as_str().to_ascii_lowercase(), record.args()));
    }

    fn flush(&self) {}
}

fn unreadable(source: aya_log::Error) -> AttachError {
    // aya-log finds programs by walking over all of them, and sees none when that is not permitted.
    let denied = matches!(&source, aya_log::Error::ProgramNotFound)
        || matches!(&source, aya_log::Error::ProgramError(ProgramError::SyscallError(error))
            if error.io_error.kind() == io::ErrorKind::PermissionDenied);
    let missing = privilege::missing(privilege::FOR_JOINING).unwrap_or_default();
    if denied && !missing.is_empty() {
        return AttachError::NotPermitted { operation: "read the log of the interface's programs", missing };
    }
    AttachError::Log { source }
}
