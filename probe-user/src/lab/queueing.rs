//! Queue disciplines that hold packets back.
//!
//! Without one, veth drops what finds the peer's ring full. With one, it stops the queue instead, and a sender on AF_XDP
//! gets EAGAIN where it would have had a loss. AF_XDP passes by the discipline itself: that it is there is what counts.

use futures_util::StreamExt;
use rtnetlink::{
    Error, Handle,
    packet_core::{DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        tc::{TcAttribute, TcHandle, TcMessage},
    },
};

/// Longer than the ring of 256 that it waits for, and shorter than what a socket can fill in a second.
const PACKETS: u32 = 1000;

/// Gives each transmit queue of the interface its own `pfifo`.
pub(super) async fn hold_back(handle: &Handle, index: u32, queues: u32) -> Result<(), Error> {
    if queues == 1 {
        return replace(handle, index, TcHandle::ROOT, TcHandle::UNSPEC, pfifo()).await;
    }
    // One `pfifo` for all queues would make the CPUs wait for each other: `mq` has a place for one a queue.
    let root = TcHandle { major: 1, minor: 0 };
    replace(handle, index, TcHandle::ROOT, root, vec![TcAttribute::Kind("mq".to_owned())]).await?;
    for queue in 1..=queues {
        let place = TcHandle::from(u32::from(root) | queue);
        replace(handle, index, place, TcHandle::UNSPEC, pfifo()).await?;
    }
    Ok(())
}

/// The attributes of a plain queue; its option is a bare number of packets (`struct tc_fifo_qopt`).
fn pfifo() -> Vec<TcAttribute> {
    const TCA_OPTIONS: u16 = 2;
    vec![
        TcAttribute::Kind("pfifo".to_owned()),
        TcAttribute::Other(DefaultNla::new(TCA_OPTIONS, PACKETS.to_ne_bytes().to_vec())),
    ]
}

/// Puts a discipline at `parent`, whatever was there before. The library's own request takes no attributes.
async fn replace(
    handle: &Handle,
    index: u32,
    parent: TcHandle,
    name: TcHandle,
    attributes: Vec<TcAttribute>,
) -> Result<(), Error> {
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.parent = parent;
    message.header.handle = name;
    message.attributes = attributes;
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewQueueDiscipline(message));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    let mut answers = handle.clone().request(request)?;
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::Error(error) = answer.payload
            && error.code.is_some()
        {
            return Err(Error::NetlinkError(error));
        }
    }
    Ok(())
}
