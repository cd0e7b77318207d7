//! The bare loop: as many frames a second as one thread gets through AF_XDP and back, doing nothing with them.
//!
//! A constant frame leaves, the far end's program swaps its link addresses and sends it back, the near end's redirects
//! it here, and its memory goes back to the kernel. Frames and rings are of the same sizes as those of Leadline.
#![allow(
    unsafe_code,
    reason = "frames are shared with the kernel, without the bookkeeping that makes it safe elsewhere"
)]

use std::ffi::CString;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use aya::maps::XskMap;
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use nix::time::ClockId;
use probe_user::attach::objects::LAB_XDP;
use probe_user::lab::{REFLECTOR_INTERFACE, REFLECTOR_IPV4, REFLECTOR_MAC, SENDER_INTERFACE, SENDER_IPV4, SENDER_MAC};
use probe_wire::frame::{Addresses, Endpoints, TypeP, write_headers};
use xsk_rs::config::{BindFlags, FrameSize, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig};
use xsk_rs::umem::frame::FrameDesc;
use xsk_rs::{CompQueue, FillQueue, RxQueue, Socket, TxQueue, Umem};

use crate::machine::cpu_ns;
use crate::stage::Stage;
use crate::{Outcome, Run};

/// The frame of the smallest STAMP packet over IPv4: 72 octets of IP.
const FRAME_LENGTH: usize = 86;
/// Frames on their way at once. More do not fit into one call of the kernel, and fewer cost more calls.
const IN_FLIGHT: usize = 32;
const FRAME_SIZE: u32 = 2048;
const TRANSMIT_FRAMES: u32 = 2048;
const RECEIVE_FRAMES: u32 = 4096;
/// When nothing has come back for so long, the rest is lost.
const PATIENCE: Duration = Duration::from_millis(200);
/// How many times the loop finds nothing before it looks at the time.
const EMPTY_HANDED: u32 = 10_000;

/// Sends so many frames to the far end and back.
///
/// # Errors
/// A program or a socket cannot be set up, or the kernel refuses to send.
pub(crate) fn run(stage: &Stage, packets: u64) -> Outcome<Run> {
    let _far = stage.far(|| attached("swap", REFLECTOR_INTERFACE))?;
    stage.near(|| {
        let mut program = attached("redirect", SENDER_INTERFACE)?;
        let mut rings = Rings::bind(SENDER_INTERFACE, stage.cpu())?;
        let sockets = program.map_mut("SOCKETS").ok_or("the lab's object has no map SOCKETS")?;
        XskMap::try_from(sockets)?.set(stage.cpu(), rings.receive.fd().as_raw_fd(), 0)?;
        Ok(rings.run(packets)?)
    })
}

/// One of the lab's programs on an interface, until the value is dropped.
fn attached(name: &str, interface: &str) -> Outcome<Ebpf> {
    let mut object = EbpfLoader::new().load(LAB_XDP)?;
    let program: &mut Xdp = object.program_mut(name).ok_or_else(|| format!("no program {name}"))?.try_into()?;
    program.load()?;
    program.attach(interface, XdpMode::Driver)?;
    Ok(object)
}

/// A socket with its rings and its memory.
struct Rings {
    transmit: TxQueue,
    receive: RxQueue,
    fill: FillQueue,
    completion: CompQueue,
    /// The frames that hold the packet, twice over: what begins anywhere in the first half is in order and in one piece.
    packets: Vec<FrameDesc>,
    // Last, since the rings are in its memory.
    _umem: Umem,
}

impl Rings {
    fn bind(interface: &str, queue: u32) -> Outcome<Self> {
        let umem_configuration = UmemConfig::builder()
            .frame_size(FrameSize::new(FRAME_SIZE)?)
            .fill_queue_size(QueueSize::new(RECEIVE_FRAMES)?)
            .comp_queue_size(QueueSize::new(TRANSMIT_FRAMES)?)
            .build()?;
        let socket_configuration = SocketConfig::builder()
            .rx_queue_size(QueueSize::new(RECEIVE_FRAMES)?)
            .tx_queue_size(QueueSize::new(TRANSMIT_FRAMES)?)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(BindFlags::XDP_USE_NEED_WAKEUP)
            .build();
        let frames = NonZeroU32::new(IN_FLIGHT as u32 + RECEIVE_FRAMES).ok_or("no frames")?;
        let (umem, mut packets) = Umem::new(umem_configuration, frames, false)?;
        let to_fill = packets.split_off(IN_FLIGHT);
        let name = Interface::new(CString::new(interface)?);
        // SAFETY: the memory is not shared with another socket, and no program is loaded.
        let (transmit, receive, queues) = unsafe { Socket::new(socket_configuration, &umem, &name, queue) }?;
        let (mut fill, completion) = queues.ok_or("the socket came without its rings")?;
        // SAFETY: the frames are of this memory and have just been made.
        unsafe { fill.produce(&to_fill) };
        let octets = packet();
        for frame in &mut packets {
            // SAFETY: the frame is of this memory and has just been made.
            let mut data = unsafe { umem.data_mut(frame) };
            data.cursor().set_pos(octets.len());
            data.contents_mut().copy_from_slice(&octets);
        }
        packets.extend_from_within(..);
        Ok(Self { transmit, receive, fill, completion, packets, _umem: umem })
    }

    fn run(&mut self, packets: u64) -> io::Result<Run> {
        let mut frames = [FrameDesc::default(); IN_FLIGHT];
        let (mut sent, mut completed, mut received) = (0, 0, 0);
        let mut empty_handed = 0;
        let cpu_start = cpu_ns(ClockId::CLOCK_THREAD_CPUTIME_ID);
        let start = Instant::now();
        let mut last = start;
        while received < packets && !(empty_handed >= EMPTY_HANDED && last.elapsed() > PATIENCE) {
            let on_the_way = sent - u64::min(completed, received);
            let count = (packets - sent).min(IN_FLIGHT as u64 - on_the_way) as usize;
            if count > 0 {
                let next = (sent % IN_FLIGHT as u64) as usize;
                // SAFETY: the frames are of this memory, and come back from the kernel in the order in which they left;
                // nobody ever writes them again.
                sent += unsafe { self.transmit.produce(&self.packets[next..next + count]) } as u64;
                self.kick()?;
            }
            // SAFETY: what the ring gives is of this memory, and the kernel has let go of it.
            completed += unsafe { self.completion.consume(&mut frames) } as u64;
            // SAFETY: as before.
            let arrived = unsafe { self.receive.consume(&mut frames) };
            // SAFETY: the frames are of this memory and leave our hands here; the ring has room for all there are.
            unsafe { self.fill.produce(&frames[..arrived]) };
            // What the far end's kernel may say by itself has other lengths.
            received += frames[..arrived].iter().filter(|frame| frame.lengths().data() == FRAME_LENGTH).count() as u64;
            if arrived == 0 {
                empty_handed += 1;
            } else if empty_handed > 0 {
                empty_handed = 0;
                last = Instant::now();
            }
        }
        let time = start.elapsed();
        let cpu = cpu_ns(ClockId::CLOCK_THREAD_CPUTIME_ID).zip(cpu_start).map(|(end, start)| end - start);
        Ok(Run::new(sent, received, time, cpu.map(|cpu| cpu / received as f64)))
    }

    fn kick(&self) -> io::Result<()> {
        loop {
            // SAFETY: an empty message to the socket, which this value keeps open.
            let result = unsafe {
                libc::sendto(
                    self.transmit.fd().as_raw_fd(),
                    std::ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null(),
                    0,
                )
            };
            if result >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR) => {}
                _ => return Err(error),
            }
        }
    }
}

/// The packet: as a STAMP packet of this length, but with a payload of zeros.
fn packet() -> [u8; FRAME_LENGTH] {
    let endpoints = Endpoints {
        source_mac: SENDER_MAC,
        destination_mac: REFLECTOR_MAC,
        addresses: Addresses::V4(SENDER_IPV4.octets(), REFLECTOR_IPV4.octets()),
        source_port: 862,
        destination_port: 862,
    };
    let mut octets = [0; FRAME_LENGTH];
    let Some(_) = write_headers(&mut octets, &endpoints, TypeP { dscp: 0, ttl: 255 }) else {
        unreachable!("the frame is longer than its headers")
    };
    octets
}
