//! The first process on an interface: load the programs, tell them of the host, attach them by link.

use std::io;
use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use aya::EbpfLoader;
use aya::maps::{Map, MapData, MapError};
use aya::programs::{ProgramError, Xdp};
use object::{Object as _, ObjectSection as _};
use probe_wire::shared::{ABI_VERSION, PROGRAM, map};

use super::maps::Maps;
use super::{AttachError, Hold, Host, Mode, Named, link_fd, objects, privilege};

/// The section of the object that holds the version of its contract with user space.
const ABI_SECTION: &str = "abi";

/// Loads and attaches. `None` when another process was faster: then there is something to join.
pub(super) fn load(interface: &Named, host: &Host, mode: Mode) -> Result<Option<Hold>, AttachError> {
    check_version(objects::LEADLINE_XDP)?;
    let mut object = EbpfLoader::new().load(objects::LEADLINE_XDP).map_err(AttachError::load)?;
    let program: &mut Xdp = object
        .program_mut(PROGRAM)
        .ok_or_else(|| AttachError::Object { problem: format!("has no program {PROGRAM}") })?
        .try_into()
        .map_err(|error: ProgramError| AttachError::load(error))?;
    load_patiently(program).map_err(AttachError::load)?;
    let program_fd = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(AttachError::load)?;
    let program_id = program.info().map_err(AttachError::load)?.id();

    let mut maps = Maps::collect(|name| {
        let map = object.take_map(name).ok_or(AttachError::NoMap { map: name })?;
        if name == map::HOLDERS {
            // The program does not look at it: without this it would go with this process.
            let data = array_data(&map)?;
            link_fd::bind_map(program_fd.as_fd(), data.fd().as_fd())
                .map_err(|error| AttachError::bpf("tie a map to the programs", privilege::FOR_ATTACHING, error))?;
        }
        Ok(map)
    })?;
    // Before anyone can join.
    maps.set_host(host)?;
    maps.set_own_addresses(&host.addresses)?;

    match link_fd::create(program_fd.as_fd(), interface.index, mode.flags()) {
        Ok(link) => Ok(Some(Hold { link, program_id, mode, joined: false, maps })),
        Err(error) => match error.raw_os_error() {
            Some(libc::EBUSY | libc::EEXIST) => Ok(None),
            Some(libc::EPERM | libc::EACCES) => {
                Err(AttachError::bpf("attach an XDP program", privilege::FOR_ATTACHING, error))
            }
            Some(libc::ENODEV) => Err(AttachError::UnknownInterface { interface: interface.name.clone() }),
            Some(libc::EOPNOTSUPP) => {
                Err(AttachError::NoNativeXdp { interface: interface.name.clone(), source: error })
            }
            _ => Err(AttachError::Refused { interface: interface.name.clone(), source: error }),
        },
    }
}

/// The verifier gives up with EAGAIN when a signal waits for the thread; libbpf too tries again then.
fn load_patiently(program: &mut Xdp) -> Result<(), ProgramError> {
    const ATTEMPTS: u32 = 10;
    const PAUSE: Duration = Duration::from_millis(10);
    let is_interrupted = |error: &ProgramError| matches!(error, ProgramError::LoadError { io_error, .. } if io_error.kind() == io::ErrorKind::WouldBlock);
    for _ in 1..ATTEMPTS {
        match program.load() {
            Err(error) if is_interrupted(&error) => thread::sleep(PAUSE),
            done => return done,
        }
    }
    program.load()
}

fn array_data(map: &Map) -> Result<&MapData, AttachError> {
    match map {
        Map::Array(data) => Ok(data),
        _ => {
            let source = MapError::InvalidMapType { map_type: 0 };
            Err(AttachError::Map { map: map::HOLDERS, source })
        }
    }
}

/// Refuses an object that was built for another contract.
fn check_version(object: &[u8]) -> Result<(), AttachError> {
    let problem = match version(object) {
        Ok(ABI_VERSION) => return Ok(()),
        Ok(other) => format!("speaks version {other} of the contract with user space, not {ABI_VERSION}"),
        Err(problem) => problem,
    };
    Err(AttachError::Object { problem })
}

fn version(object: &[u8]) -> Result<u32, String> {
    let file = object::File::parse(object).map_err(|error| format!("cannot be read ({error})"))?;
    let section = file.section_by_name(ABI_SECTION).ok_or_else(|| format!("has no section {ABI_SECTION}"))?;
    let octets = section.data().map_err(|error| format!("has an unreadable section {ABI_SECTION} ({error})"))?;
    let octets = <[u8; 4]>::try_from(octets).map_err(|_| format!("has {} octets of version, not 4", octets.len()))?;
    Ok(if file.is_little_endian() { u32::from_le_bytes(octets) } else { u32::from_be_bytes(octets) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_object_speaks_our_version() {
        assert_eq!(version(objects::LEADLINE_XDP), Ok(ABI_VERSION));
    }

    #[test]
    fn an_object_of_another_version_is_refused_by_both_numbers() {
        let mut object = objects::LEADLINE_XDP.to_vec();
        let file = object::File::parse(objects::LEADLINE_XDP).unwrap();
        let (at, _) = file.section_by_name(ABI_SECTION).unwrap().file_range().unwrap();
        object[usize::try_from(at).unwrap()] = 99;
        let message = check_version(&object).unwrap_err().to_string();
        assert!(message.contains("version 99") && message.contains(&format!("not {ABI_VERSION}")), "{message}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(matches!(check_version(b"not an object"), Err(AttachError::Object { .. })));
    }
}
