//! The program that answers in the lab's second namespace.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    LabError,
    layout::{Layout, REFLECTOR_INTERFACE, Reflector},
    namespace::Namespace,
    process::Process,
};
use crate::net::Interface;

/// Every reflector carries this variable, with the lab's state folder for a value. So it is found even when its maker
/// was killed before it could note the process's number.
const MARK: &str = "LEADLINE_LAB";

/// How long a reflector may take to load and attach its program.
const PATIENCE: Duration = Duration::from_secs(15);

/// A program that fails does so at once; one that has run so long is taken to be running.
const SETTLED: Duration = Duration::from_millis(100);

const PAUSE: Duration = Duration::from_millis(10);

/// Where the reflector's output goes.
pub(super) fn log_path(layout: &Layout) -> PathBuf {
    layout.state_folder.join("reflector.log")
}

/// Starts the reflector in its namespace and waits until it is ready. It goes on when this process ends.
pub(super) fn start(reflector: &Reflector, namespace: &Namespace, layout: &Layout) -> Result<Process, LabError> {
    let mut child = namespace.enter(|| spawn(reflector, layout))??;
    let process = Process::of(child.id().cast_signed());
    wait_until_ready(reflector, namespace, layout, &mut child)?;
    process.ok_or(LabError::NotUp)
}

/// All processes that were started as this lab's reflector, and what they started in turn.
pub(super) fn find_all(layout: &Layout) -> Result<Vec<Process>, LabError> {
    Process::with_variable(MARK, &layout.state_folder.to_string_lossy())
        .map_err(|source| LabError::refused("look through the processes", source))
}

fn spawn(reflector: &Reflector, layout: &Layout) -> Result<Child, LabError> {
    let [program, arguments @ ..] = reflector.command.as_slice() else {
        return Err(LabError::NoCommand);
    };
    let path = log_path(layout);
    let state_error = |source| LabError::State { operation: "write", path: path.clone(), source };
    let log = File::create(&path).map_err(state_error)?;
    Command::new(program)
        .args(arguments)
        .env(MARK, &layout.state_folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(state_error)?)
        .stderr(log)
        .current_dir("/")
        // A process group of its own: neither Ctrl-C nor a closing terminal reaches it.
        .process_group(0)
        .spawn()
        .map_err(|source| LabError::Command { command: words(&reflector.command), source })
}

fn wait_until_ready(
    reflector: &Reflector,
    namespace: &Namespace,
    layout: &Layout,
    child: &mut Child,
) -> Result<(), LabError> {
    let started = Instant::now();
    loop {
        let exited = child.try_wait().map_err(|source| LabError::refused("watch the lab's reflector", source))?;
        if let Some(status) = exited {
            let command = words(&reflector.command);
            return Err(LabError::ReflectorEnded { command, status, log: end_of_log(&log_path(layout)) });
        }
        let ready = if reflector.attaches_program {
            namespace.enter(|| Interface::find(REFLECTOR_INTERFACE))??.xdp.is_some()
        } else {
            started.elapsed() >= SETTLED
        };
        if ready {
            return Ok(());
        }
        if started.elapsed() >= PATIENCE {
            let command = words(&reflector.command);
            let log = end_of_log(&log_path(layout));
            return Err(LabError::ReflectorNotReady { command, seconds: PATIENCE.as_secs(), log });
        }
        thread::sleep(PAUSE);
    }
}

/// The last lines that the reflector wrote.
fn end_of_log(path: &Path) -> String {
    const LINES: usize = 5;
    let log = fs::read(path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

pub(super) fn words(command: &[OsString]) -> String {
    command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
