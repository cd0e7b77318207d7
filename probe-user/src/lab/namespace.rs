//! Network namespaces: made, entered and removed without any other program.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    panic,
    path::{Path, PathBuf},
    thread,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::statfs::{NSFS_MAGIC, fstatfs},
};

/// Where `ip netns` looks for namespaces by name.
const FOLDER: &str = "/run/netns";

/// An open network namespace. It lives at least as long as this value does.
///
/// A named namespace is one for `ip netns` too, and stays until [`Namespace::remove`]. An unnamed one goes when the last
/// of this value, the threads and the processes in it is gone: nothing is left behind even by a killed process, which
/// makes it the right one for tests.
#[derive(Debug)]
pub struct Namespace {
    name: Option<String>,
    file: File,
}

/// A namespace that cannot be made, entered or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// The name would lead out of the folder of namespaces, or is empty.
    #[error("`{name}` cannot name a network namespace: it is empty or holds a slash")]
    BadName {
        /// The name.
        name: String,
    },

    /// A namespace of that name exists already.
    #[error("network namespace `{name}` exists already; remove it with `ip netns delete {name}`")]
    Exists {
        /// The name.
        name: String,
    },

    /// No namespace has that name.
    #[error("there is no network namespace `{name}`; see `ip netns list`")]
    Missing {
        /// The name.
        name: String,
    },

    /// The kernel refused.
    #[error("cannot {operation}: {source}{}", privilege_hint(source))]
    Refused {
        /// What was tried, as the end of "cannot ...".
        operation: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Namespace {
    /// Makes a named namespace, as `ip netns add` does.
    ///
    /// # Errors
    ///
    /// [`NamespaceError::Exists`], [`NamespaceError::BadName`], or [`NamespaceError::Refused`], most often for want of
    /// CAP_SYS_ADMIN.
    pub fn create(name: &str) -> Result<Self, NamespaceError> {
        let path = path_of(name)?;
        let refused = |source| refused(format!("create network namespace `{name}`"), source);
        share_folder().map_err(refused)?;
        match OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(NamespaceError::Exists { name: name.to_owned() });
            }
            outcome => drop(outcome.map_err(refused)?),
        }
        // The namespace is the new thread's; the mount on the file keeps it when the thread ends.
        let kept = in_new_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            mount(Some("/proc/thread-self/ns/net"), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        });
        if let Err(error) = kept.and_then(|outcome| outcome.map_err(io::Error::from)) {
            // Best effort: the first error is the one to tell.
            let _ = fs::remove_file(&path);
            return Err(refused(error));
        }
        Self::open(name)
    }

    /// Makes a namespace without a name, which goes with its last user.
    ///
    /// # Errors
    ///
    /// [`NamespaceError::Refused`], most often for want of CAP_SYS_ADMIN.
    pub fn unnamed() -> Result<Self, NamespaceError> {
        in_new_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        })
        .flatten()
        .map(|file| Self { name: None, file })
        .map_err(|source| refused("create a network namespace", source))
    }

    /// Opens a namespace that exists.
    ///
    /// # Errors
    ///
    /// [`NamespaceError::Missing`] when there is none, or only the empty file that an interrupted
    /// [`Namespace::create`] leaves; [`NamespaceError::BadName`]; [`NamespaceError::Refused`].
    pub fn open(name: &str) -> Result<Self, NamespaceError> {
        let path = path_of(name)?;
        let missing = || NamespaceError::Missing { name: name.to_owned() };
        let refused = |source| refused(format!("open network namespace `{name}`"), source);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            outcome => outcome.map_err(refused)?,
        };
        let filesystem = fstatfs(&file).map_err(|error| refused(error.into()))?.filesystem_type();
        if filesystem != NSFS_MAGIC {
            return Err(missing());
        }
        Ok(Self { name: Some(name.to_owned()), file })
    }

    /// Opens the namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// [`NamespaceError::Refused`] when `/proc` is not there.
    pub fn current() -> Result<Self, NamespaceError> {
        match File::open("/proc/thread-self/ns/net") {
            Ok(file) => Ok(Self { name: None, file }),
            Err(source) => Err(refused("open the current network namespace", source)),
        }
    }

    /// Removes the name, and with it the namespace unless a process is still in it. What is not there need not be
    /// removed: that is success.
    ///
    /// # Errors
    ///
    /// [`NamespaceError::BadName`] or [`NamespaceError::Refused`].
    pub fn remove(name: &str) -> Result<(), NamespaceError> {
        let path = path_of(name)?;
        let refused = |source| refused(format!("remove network namespace `{name}`"), source);
        // EINVAL: nothing is mounted there, as after an interrupted `create`.
        match umount2(&path, MntFlags::MNT_DETACH) {
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(error) => return Err(refused(error.into())),
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused(error)),
            _ => Ok(()),
        }
    }

    /// Whether the name is taken, be it only by the leftover of an interrupted [`Namespace::create`].
    pub fn name_is_taken(name: &str) -> bool {
        path_of(name).is_ok_and(|path| fs::symlink_metadata(path).is_ok())
    }

    /// The name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The open namespace, to hand to the kernel.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Runs `work` inside this namespace, in a thread of its own, and waits for it. Sockets, threads and processes that
    /// it makes belong to the namespace wherever they are used afterwards. A panic of `work` goes on in the caller.
    ///
    /// Not everything changes with the namespace: `/sys` still shows the old one.
    ///
    /// # Errors
    ///
    /// [`NamespaceError::Refused`], most often for want of CAP_SYS_ADMIN.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R, NamespaceError> {
        in_new_thread(|| {
            self.join_thread()?;
            Ok(work())
        })
        .flatten()
        .map_err(|source| refused(format!("enter {self}"), source))
    }

    /// Moves the calling thread into this namespace for good.
    pub(super) fn join_thread(&self) -> io::Result<()> {
        Ok(setns(&self.file, CloneFlags::CLONE_NEWNET)?)
    }
}

impl std::fmt::Display for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "network namespace `{name}`"),
            None => f.write_str("an unnamed network namespace"),
        }
    }
}

/// Makes the folder of names a mount that is shared with other mount namespaces, as `ip netns` does: or else removing a
/// name here would leave the namespace alive in them.
fn share_folder() -> io::Result<()> {
    fs::create_dir_all(FOLDER)?;
    fs::set_permissions(FOLDER, fs::Permissions::from_mode(0o755))?;
    // Two that do this at once must not both mount it.
    let _lock = Flock::lock(File::open(FOLDER)?, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    let share = || mount(None::<&str>, FOLDER, None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC, None::<&str>);
    match share() {
        // Not a mount yet.
        Err(Errno::EINVAL) => {
            mount(Some(FOLDER), FOLDER, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
            Ok(share()?)
        }
        outcome => Ok(outcome?),
    }
}

fn path_of(name: &str) -> Result<PathBuf, NamespaceError> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(NamespaceError::BadName { name: name.to_owned() });
    }
    Ok(Path::new(FOLDER).join(name))
}

/// Runs `work` in a thread that nobody minds being moved to another namespace.
pub(super) fn in_new_thread<R: Send>(work: impl FnOnce() -> R + Send) -> io::Result<R> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("namespace".to_owned()).spawn_scoped(scope, work)?;
        Ok(worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}

fn refused(operation: impl Into<String>, source: io::Error) -> NamespaceError {
    NamespaceError::Refused { operation: operation.into(), source }
}

fn privilege_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => " (needs CAP_SYS_ADMIN: run as root)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_folder() {
        for name in ["", ".", "..", "../etc", "a/b", "a\0b"] {
            assert!(matches!(path_of(name), Err(NamespaceError::BadName { .. })), "{name:?}");
        }
        assert_eq!(path_of("blue").expect("a plain name"), Path::new("/run/netns/blue"));
    }

    #[test]
    fn what_does_not_exist_cannot_be_opened_but_is_easily_removed() {
        let name = "leadline-no-such-namespace";
        assert!(matches!(Namespace::open(name), Err(NamespaceError::Missing { .. })));
        assert!(!Namespace::name_is_taken(name));
    }
}
