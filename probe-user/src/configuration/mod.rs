//! What a run is asked to do, checked before anything happens. A value that can be refused without asking the kernel is
//! refused here, with an error that names the option, the value, why it cannot be and what would do; so whoever holds
//! a [`MeasurementConfiguration`] or a [`ReflectConfiguration`] need not ask again. What only the kernel or the
//! interface can tell (address family of a name, MTU, link speed) has a method that takes it.

mod address;
mod duration;
mod error;
mod interface;
mod interval;
mod link;
mod log;
mod measurement;
mod number;
mod rate;
mod reflector;
mod stream;
mod target;

pub use address::{parse_address, parse_network, parse_socket_address};
pub use duration::{DurationText, parse_duration};
pub use error::{ConfigurationError, ValueError};
pub use interface::{InterfaceName, OutputFormat};
pub use interval::{Departures, Interval};
pub use link::{FRAME_OVERHEAD_OCTETS, MAXIMUM_IP_LENGTH, smallest_ip_length};
pub use log::{LogConfiguration, LogDirective, LogLevel};
pub use measurement::{MeasurementBuilder, MeasurementConfiguration, TimestampFormat, Via};
pub use number::parse_whole_number;
pub use rate::Rate;
pub use reflector::{ReflectBuilder, ReflectConfiguration, ReplyFormat};
pub use stream::{Extent, Schedule, StreamConfiguration, StreamOptions};
pub use target::Target;

/// The UDP port of STAMP (RFC 8762 section 4.1).
pub const STAMP_PORT: u16 = 862;
