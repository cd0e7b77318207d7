//! A reflector's counters over TCP: whoever connects gets one JSON document and the end of the connection. Nothing is
//! read from the connection, so that there is nothing to attack but its number.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::report::advice::Failure;

/// Longer answers are not a reflector's.
const LONGEST_ANSWER: u64 = 1 << 16;
/// A reader slower than this is let go.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a reflector tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterDocument {
    /// Always `leadline.reflector-counters/1`.
    pub schema: String,
    /// Counters by name: the program's for this reflector's ports, and the interface's own as `interface.NAME`.
    pub counters: BTreeMap<String, u64>,
}

impl CounterDocument {
    /// The name and version of the document's form.
    pub const SCHEMA: &str = "leadline.reflector-counters/1";

    /// The document of a set of counters.
    #[must_use]
    pub fn new(counters: BTreeMap<String, u64>) -> Self {
        Self { schema: Self::SCHEMA.to_owned(), counters }
    }
}

/// Reads the counters of a reflector.
pub(super) fn fetch(address: SocketAddr) -> Result<CounterDocument, Failure> {
    let failed = |why: String| Failure {
        causes: vec![why],
        help: Some("start the reflector with --counters ADDRESS:PORT, or leave --reflector-counters out".to_owned()),
        ..Failure::new(format!("cannot read the reflector's counters at {address}"))
    };
    let connection = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| failed(error.to_string()))?;
    connection.set_read_timeout(Some(PATIENCE)).map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    connection.take(LONGEST_ANSWER).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    let document: CounterDocument =
        serde_json::from_str(&text).map_err(|error| failed(format!("the answer is no counter document: {error}")))?;
    if document.schema != CounterDocument::SCHEMA {
        return Err(failed(format!("the answer is a {:?}, not a {:?}", document.schema, CounterDocument::SCHEMA)));
    }
    Ok(document)
}

/// Answers one reader after the other, each with the counters at that moment.
pub(super) async fn serve(listener: TcpListener, counters: impl Fn() -> Option<CounterDocument>) {
    loop {
        let Ok((mut connection, _)) = listener.accept().await else {
            // Out of descriptors, say: others may close theirs.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Some(document) = counters() else { continue };
        let Ok(text) = serde_json::to_vec(&document) else { continue };
        // A reader that does not read, or has gone, is no failure of ours.
        let _ = tokio::time::timeout(PATIENCE, async {
            connection.write_all(&text).await?;
            connection.shutdown().await
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_what_is_fetched() {
        let document = CounterDocument::new(BTreeMap::from([("reflected".to_owned(), 7)]));
        let (sender, receiver) = std::sync::mpsc::channel();
        let served = document.clone();
        std::thread::spawn(move || {
            super::super::control::runtime().unwrap().block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                tokio::time::timeout(Duration::from_secs(5), serve(listener, move || Some(served.clone()))).await
            })
        });
        let address = receiver.recv().unwrap();
        assert_eq!(fetch(address).unwrap(), document);
        assert_eq!(fetch(address).unwrap(), document, "and again");
    }

    #[test]
    fn nobody_there_is_told_with_what_to_do() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let failure = fetch(address).unwrap_err();
        assert!(failure.what.contains(&address.to_string()));
        assert!(failure.help.unwrap().contains("--counters"));
    }
}
