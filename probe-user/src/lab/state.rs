//! The record of a finished lab, and the lock that keeps two from being made at once.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::{LabError, layout::Layout, process::Process};

/// Written last of all: where it is missing, the lab was not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// MTU in octets.
    pub(super) mtu: u32,
    /// Queues at each end.
    pub(super) queues: u32,
    /// The reflector, if the lab has one.
    pub(super) reflector: Option<Process>,
}

impl Record {
    /// The record of the lab, or `None` when there is none that makes sense.
    pub(super) fn read(layout: &Layout) -> Option<Self> {
        let text = fs::read(path(layout)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes the record whole or not at all.
    pub(super) fn write(&self, layout: &Layout) -> Result<(), LabError> {
        let path = path(layout);
        let unfinished = path.with_extension("unfinished");
        let outcome = serde_json::to_vec(self)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&unfinished, text))
            .and_then(|()| fs::rename(&unfinished, &path));
        outcome.map_err(|source| LabError::State { operation: "write", path, source })
    }
}

fn path(layout: &Layout) -> PathBuf {
    layout.state_folder.join("lab.json")
}

/// Makes the folder that holds all state of this lab.
pub(super) fn make_folder(layout: &Layout) -> Result<(), LabError> {
    let path = &layout.state_folder;
    fs::create_dir_all(path).map_err(|source| LabError::State { operation: "create", path: path.clone(), source })
}

/// Removes the state folder and all that is in it. What is not there need not be removed.
pub(super) fn remove_folder(layout: &Layout) -> Result<(), LabError> {
    let path = &layout.state_folder;
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(LabError::State { operation: "remove", path: path.clone(), source })
        }
        _ => Ok(()),
    }
}

/// Held while labs are made or removed. The kernel releases it when its holder dies.
#[derive(Debug)]
pub(super) struct Lock {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl Lock {
    /// Waits for the lock on the folder above the state folder.
    pub(super) fn take(layout: &Layout) -> Result<Self, LabError> {
        let folder = layout.state_folder.parent().unwrap_or(Path::new("/")).to_owned();
        let error = |source| LabError::State { operation: "lock", path: folder.clone(), source };
        loop {
            fs::create_dir_all(&folder).map_err(error)?;
            let file = match File::open(&folder) {
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
                outcome => outcome.map_err(error)?,
            };
            let locked = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| error(errno.into()))?;
            // Whoever held the lock before may have removed the folder: then this is the lock of nothing.
            if is_at(&locked, &folder) {
                return Ok(Self { folder, _lock: locked });
            }
        }
    }
}

impl Drop for Lock {
    /// Leaves no folder behind that nobody uses: removing fails where there is anything in it.
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(folder: &Path) -> Layout {
        Layout { state_folder: folder.join("house").join("lab"), ..Layout::default() }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = layout(folder.path());
        let record = Record { mtu: 9000, queues: 3, reflector: Some(Process { pid: 7, start_time: 8 }) };
        make_folder(&layout).expect("make");
        record.write(&layout).expect("write");
        assert_eq!(Record::read(&layout), Some(record));
    }

    #[test]
    fn half_a_record_is_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = layout(folder.path());
        assert_eq!(Record::read(&layout), None);
        make_folder(&layout).expect("make");
        fs::write(path(&layout), r#"{"mtu":1500,"que"#).expect("write");
        assert_eq!(Record::read(&layout), None);
    }

    #[test]
    fn the_lock_leaves_no_folder_unless_it_is_in_use() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = layout(folder.path());
        drop(Lock::take(&layout).expect("lock"));
        assert!(!folder.path().join("house").exists());
        let lock = Lock::take(&layout).expect("lock again");
        make_folder(&layout).expect("make");
        drop(lock);
        assert!(layout.state_folder.exists());
        remove_folder(&layout).expect("remove");
        remove_folder(&layout).expect("remove what is not there");
    }

    #[test]
    fn two_do_not_hold_the_lock_at_once() {
        use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = layout(folder.path());
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _lock = Lock::take(&layout).expect("lock");
                        assert_eq!(inside.fetch_add(1, SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, SeqCst);
                    }
                });
            }
        });
    }
}
