//! The scripted wire: copies frames between its two ends and does to each test packet what the script says.
//!
//! One thread in the wire's namespace carries both directions, so that the order in which frames leave is known without
//! doubt. What is not a test packet (ARP, neighbour discovery, ICMP, TCP) passes untouched. Everything that happened to
//! every test packet is in the [`Record`]; the wire fails the test rather than lose a frame on its own account.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::fixed_verdict::{FixedVerdict, Verdict};
use crate::frame::{Datagram, Direction, TestPacket};
use crate::namespace::enter_by_name;
use crate::network::{Network, WIRE_REFLECTOR_END, WIRE_SENDER_END};
use crate::packet_socket::PacketSocket;
use crate::script::{Action, Script};

/// A running wire. Until [`Wire::arm`] it passes everything and records nothing.
#[derive(Debug)]
pub struct Wire {
    scripts: Sender<(Script, Sender<()>)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Record>>,
}

/// What happened to the test packets, in order of their coming.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Every test packet of every session that came to either end since the wire was armed.
    pub passages: Vec<Passage>,
    /// What went wrong with the wire itself. Empty, or else the record is not the truth.
    pub troubles: Vec<String>,
}

/// One test packet that came to one end of the wire.
#[derive(Debug, Clone)]
pub struct Passage {
    /// Which way it went.
    pub direction: Direction,
    /// What it said when it came.
    pub packet: TestPacket,
    /// When it came.
    pub entered: Instant,
    /// Its leavings: none for a lost packet, several for a duplicated one.
    pub exits: Vec<Exit>,
}

/// One copy of a test packet that left the wire.
#[derive(Debug, Clone, Copy)]
pub struct Exit {
    /// When it left.
    pub at: Instant,
    /// Its place among all that left, both directions counted together.
    pub order: usize,
    /// Whether its checksums held when it left.
    pub sound: bool,
}

impl Wire {
    /// Lays the wire between the two ends of the network and returns when it carries frames.
    ///
    /// # Panics
    /// When the network has no wire, or when its ends cannot be opened.
    pub fn start(network: &Network) -> Self {
        let namespace = network.wire.as_ref().expect("a network with a wire").name().to_owned();
        let (scripts, commands) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (ready, started) = channel();
        let carry = move || {
            enter_by_name(&namespace);
            let mut carrier =
                Carrier::open(commands).unwrap_or_else(|error| panic!("cannot open the wire's ends: {error}"));
            ready.send(()).expect("the wire is awaited");
            carrier.carry_until(&stopped);
            carrier.record
        };
        let thread = std::thread::Builder::new().name("wire".into()).spawn(carry).expect("a thread for the wire");
        let wire = Self { scripts, stop, thread: Some(thread) };
        started.recv().expect("the wire carries frames");
        wire
    }

    /// Puts the script in force and begins the record anew.
    ///
    /// # Panics
    /// When the wire has died.
    pub fn arm(&self, script: Script) {
        let (armed, done) = channel();
        self.scripts.send((script, armed)).expect("the wire lives");
        done.recv().expect("the wire lives");
    }

    /// Stops the wire and returns what happened on it. Frames that it still holds back are lost.
    ///
    /// # Panics
    /// When the wire had troubles of its own, so that the record would not be the truth.
    pub fn finish(mut self) -> Record {
        let record = self.join().expect("joined once").unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(record.troubles.is_empty(), "the wire itself failed: {:?}", record.troubles);
        record
    }

    fn join(&mut self) -> Option<std::thread::Result<Record>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.join();
    }
}

/// The wire's thread: two ends, the script in force, and the frames that must wait.
struct Carrier {
    sender_end: PacketSocket,
    reflector_end: PacketSocket,
    _programs: [FixedVerdict; 2],
    commands: Receiver<(Script, Sender<()>)>,
    script: Option<Script>,
    /// Packets of the stream that came so far, forward and backward.
    ordinals: [u32; 2],
    /// Frames that leave at a time; what leaves at the same time leaves in order of coming.
    delayed: BTreeMap<(Instant, usize), Waiting>,
    /// Frames that leave when so many later packets of the stream have passed.
    held_back: Vec<(u32, Waiting)>,
    exits: usize,
    record: Record,
}

/// A frame that leaves later.
struct Waiting {
    direction: Direction,
    passage: usize,
    frame: Vec<u8>,
}

/// How long the wire sleeps at most before it looks for a new script or for its end.
const NAP: Duration = Duration::from_millis(2);
/// How long it tries to hand over a frame to a full ring.
const PATIENCE: Duration = Duration::from_millis(200);

impl Carrier {
    fn open(commands: Receiver<(Script, Sender<()>)>) -> io::Result<Self> {
        let sender_index = nix::net::if_::if_nametoindex(WIRE_SENDER_END)?;
        let reflector_index = nix::net::if_::if_nametoindex(WIRE_REFLECTOR_END)?;
        Ok(Self {
            _programs: [
                FixedVerdict::attach(sender_index, Verdict::Pass)?,
                FixedVerdict::attach(reflector_index, Verdict::Pass)?,
            ],
            sender_end: PacketSocket::open(sender_index)?,
            reflector_end: PacketSocket::open(reflector_index)?,
            commands,
            script: None,
            ordinals: [0; 2],
            delayed: BTreeMap::new(),
            held_back: Vec::new(),
            exits: 0,
            record: Record::default(),
        })
    }

    fn carry_until(&mut self, stop: &AtomicBool) {
        let mut buffer = vec![0; 1 << 16];
        while !stop.load(Ordering::Relaxed) {
            while let Ok((script, armed)) = self.commands.try_recv() {
                self.script = Some(script);
                self.ordinals = [0; 2];
                self.record.passages.clear();
                self.delayed.clear();
                self.held_back.clear();
                let _ = armed.send(());
            }
            self.release_due();
            self.sleep();
            // One frame of each direction in turn: neither starves.
            while self.take(Direction::Forward, &mut buffer) | self.take(Direction::Backward, &mut buffer) {
                self.release_due();
            }
        }
        for (end, name) in [(&self.sender_end, WIRE_SENDER_END), (&self.reflector_end, WIRE_REFLECTOR_END)] {
            match end.dropped() {
                Ok(0) => {}
                result => self.record.troubles.push(format!("frames dropped at {name}: {result:?}")),
            }
        }
    }

    fn sleep(&self) {
        let next = self.delayed.first_key_value().map(|((due, _), _)| due.saturating_duration_since(Instant::now()));
        let nap = next.unwrap_or(NAP).min(NAP);
        let mut ends = [&self.sender_end, &self.reflector_end].map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN));
        // An interrupted sleep is a short sleep.
        let _ = ppoll(&mut ends, Some(TimeSpec::from_duration(nap)), None);
    }

    /// Takes one frame that goes this way; false when none was there.
    fn take(&mut self, direction: Direction, buffer: &mut [u8]) -> bool {
        let end = match direction {
            Direction::Forward => &self.sender_end,
            Direction::Backward => &self.reflector_end,
        };
        match end.receive(buffer) {
            Ok(Some(length)) => {
                self.arrived(direction, &buffer[..length]);
                true
            }
            Ok(None) => false,
            Err(error) => {
                self.record.troubles.push(format!("{direction:?} receive: {error}"));
                false
            }
        }
    }

    fn arrived(&mut self, direction: Direction, frame: &[u8]) {
        let packet = TestPacket::read(frame, direction);
        let (Some(script), Some(packet)) = (&self.script, packet) else {
            self.hand_over(direction, frame);
            return;
        };
        let action = script.action(direction, &packet, self.ordinals[direction as usize]);
        let passage = self.record.passages.len();
        self.record.passages.push(Passage { direction, packet, entered: Instant::now(), exits: Vec::new() });
        let mut frame = frame.to_vec();
        let datagram = Datagram::find(&frame).expect("a test packet is a datagram");
        match action {
            None => self.leave(passage, &frame),
            Some(Action::Drop) => {}
            Some(Action::Duplicate(copies)) => {
                (0..=copies).for_each(|_| self.leave(passage, &frame));
            }
            Some(Action::Delay(time)) => {
                self.delayed.insert((Instant::now() + time, passage), Waiting { direction, passage, frame });
            }
            Some(Action::HoldBack(packets)) => self.held_back.push((packets, Waiting { direction, passage, frame })),
            Some(Action::Corrupt(octet)) => {
                frame[datagram.payload.start + octet] ^= 0x5a;
                self.leave(passage, &frame);
            }
            Some(Action::SetTtl(ttl)) => {
                datagram.set_ttl(&mut frame, ttl);
                self.leave(passage, &frame);
            }
        }
        if packet.in_stream() {
            self.ordinals[direction as usize] += 1;
            let passed = !self.record.passages[passage].exits.is_empty();
            if passed {
                self.release_overtaken(direction);
            }
        }
    }

    fn release_due(&mut self) {
        let now = Instant::now();
        while let Some(next) = self.delayed.first_entry().filter(|next| next.key().0 <= now) {
            let waiting = next.remove();
            self.leave(waiting.passage, &waiting.frame);
        }
    }

    /// One more packet of the stream has passed this way: counts it for those that wait for that.
    fn release_overtaken(&mut self, direction: Direction) {
        let (mut due, mut waiting) = (Vec::new(), Vec::new());
        for (left, frame) in std::mem::take(&mut self.held_back) {
            match left - u32::from(frame.direction == direction) {
                0 => due.push(frame),
                left => waiting.push((left, frame)),
            }
        }
        self.held_back = waiting;
        due.iter().for_each(|frame| self.leave(frame.passage, &frame.frame));
    }

    fn leave(&mut self, passage: usize, frame: &[u8]) {
        let direction = self.record.passages[passage].direction;
        let sound = Datagram::find(frame).is_some_and(|datagram| datagram.is_sound(frame));
        self.hand_over(direction, frame);
        self.record.passages[passage].exits.push(Exit { at: Instant::now(), order: self.exits, sound });
        self.exits += 1;
    }

    fn hand_over(&mut self, direction: Direction, frame: &[u8]) {
        let end = match direction {
            Direction::Forward => &self.reflector_end,
            Direction::Backward => &self.sender_end,
        };
        let begun = Instant::now();
        while let Err(error) = end.send(frame) {
            let full =
                [Errno::ENOBUFS, Errno::EAGAIN].map(|errno| errno as i32).contains(&error.raw_os_error().unwrap_or(0));
            if !full || begun.elapsed() > PATIENCE {
                self.record
                    .troubles
                    .push(format!("{direction:?} frame of {} octets not handed over: {error}", frame.len()));
                return;
            }
            std::thread::yield_now();
        }
    }
}
