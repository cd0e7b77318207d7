//! The bridge from synchronous callers to the asynchronous netlink library.

use std::{io, panic, thread};

use rtnetlink::Handle;

use super::NetError;

/// Opens a route netlink socket in the caller's network namespace and runs `question` over it.
///
/// The runtime lives in a thread of its own, which inherits the caller's namespace: so a caller that is itself inside
/// a runtime may ask too, where blocking on a second runtime in the same thread would panic.
pub(crate) fn ask<T: Send>(question: impl AsyncFnOnce(Handle) -> Result<T, NetError> + Send) -> Result<T, NetError> {
    run(async || {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|error| NetError::refused("open a netlink socket", error))?;
        tokio::spawn(connection);
        question(handle).await
    })
    .map_err(|error| NetError::refused("start a netlink runtime", error))?
}

/// Runs an asynchronous block to its end in a current-thread runtime of its own.
///
/// # Errors
///
/// Those of making the thread or the runtime.
pub(crate) fn run<T: Send>(work: impl AsyncFnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("netlink".to_owned()).spawn_scoped(scope, || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(work()))
        })?;
        worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use crate::net::interface;

    #[tokio::test]
    async fn a_caller_inside_a_runtime_may_ask_too() {
        let names = interface::names().expect("anybody may ask");
        assert!(names.contains(&"lo".to_owned()), "{names:?}");
    }
}
