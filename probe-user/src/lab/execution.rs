//! Running a command inside the lab, so that it finds there what it would find on a host of its own.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{MetadataExt, OpenOptionsExt},
            process::CommandExt,
        },
    },
    path::Path,
    process::{Command, ExitStatus},
};

use nix::{
    libc,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::{
    LabError,
    namespace::{Namespace, in_new_thread},
};

/// What is often mounted below `/sys` and has nothing to do with the network namespace.
const BELOW_SYS: [&str; 4] = ["/sys/fs/bpf", "/sys/fs/cgroup", "/sys/kernel/debug", "/sys/kernel/tracing"];

/// Runs the command in the namespace and waits for its end.
pub(super) fn run(namespace: &Namespace, command: &[OsString]) -> Result<ExitStatus, LabError> {
    inside(namespace, command, Command::status)
}

/// Becomes the command: on success, this process is no more.
pub(super) fn exec(namespace: &Namespace, command: &[OsString]) -> Result<Infallible, LabError> {
    inside(namespace, command, |command| Err(command.exec()))
}

fn inside<R: Send>(
    namespace: &Namespace,
    words: &[OsString],
    start: impl FnOnce(&mut Command) -> io::Result<R> + Send,
) -> Result<R, LabError> {
    let [program, arguments @ ..] = words else {
        return Err(LabError::NoCommand);
    };
    let refused = |source| LabError::refused(format!("enter {namespace}"), source);
    in_new_thread(|| {
        namespace.join_thread().map_err(refused)?;
        show_own_sys().map_err(|source| LabError::refused(format!("mount /sys of {namespace}"), source))?;
        start(Command::new(program).args(arguments))
            .map_err(|source| LabError::Command { command: program.to_string_lossy().into_owned(), source })
    })
    .map_err(refused)?
}

/// Gives the calling thread, and what it starts, a `/sys` that shows its own network namespace.
///
/// What was mounted below the old `/sys` is put into the new one; and there is a BPF file system in any case, since the
/// tools that load programs look for it.
fn show_own_sys() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Nothing that is mounted from here on is to be seen outside; what is unmounted outside is to go here too.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_SLAVE | MsFlags::MS_REC, None::<&str>)?;

    // Open folders stay within reach after another file system has covered their path.
    let kept: Vec<(&str, File)> =
        BELOW_SYS.into_iter().filter_map(|path| mounted_folder(path).map(|folder| (path, folder))).collect();
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)?;
    for (path, folder) in kept {
        let old = format!("/proc/self/fd/{}", folder.as_raw_fd());
        // Best effort: such a mount is a convenience, and the network does not depend on it.
        let _ = mount(Some(old.as_str()), path, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>);
    }
    if !statfs("/sys/fs/bpf").is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC) {
        let _ = mount(Some("bpf"), "/sys/fs/bpf", Some("bpf"), MsFlags::empty(), None::<&str>);
    }
    Ok(())
}

/// The folder, if a file system of its own is mounted there.
fn mounted_folder(path: &str) -> Option<File> {
    let folder = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(path).ok()?;
    let here = folder.metadata().ok()?.dev();
    let above = fs::metadata(Path::new(path).parent()?).ok()?.dev();
    (here != above).then_some(folder)
}
