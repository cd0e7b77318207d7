//! Every later process on an interface: hold the same link, use the same maps.

use std::collections::HashMap;
use std::io;

use aya::maps::{Map, MapData, MapError, MapInfo};
use aya::programs::ProgramError;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use probe_wire::shared::{ABI_VERSION, map};

use super::maps::Maps;
use super::occupant::{self, Occupant, program_on};
use super::{AttachError, Hold, Mode, Named, link_fd, privilege};

/// Joins the program that sits on an interface. `None` when it left meanwhile.
pub(super) fn join(interface: &Named, occupant: &Occupant, mode: Mode) -> Result<Option<Hold>, AttachError> {
    let Some(link_id) = occupant.link_id else { return Ok(None) };
    let link = match link_fd::by_id(link_id) {
        Ok(link) => link,
        // On its way in or out.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EAGAIN)) => return Ok(None),
        Err(error) => {
            return Err(AttachError::bpf("join the program on the interface", privilege::FOR_JOINING, error));
        }
    };
    // From here on the link cannot go, unless it had lost the interface before.
    if program_on(interface.index)?.map(|(id, _)| id) != Some(occupant.program_id) {
        return Ok(None);
    }

    let Some(numbers) = map_numbers(occupant.program_id)? else { return Ok(None) };
    let Some(control) = numbers.get(map::CONTROL) else {
        // It has our name and nothing else of ours.
        return Err(AttachError::Foreign { interface: interface.name.clone(), occupant: Box::new(occupant.clone()) });
    };
    let theirs = version(*control)?;
    if theirs != ABI_VERSION {
        return Err(AttachError::OtherVersion {
            interface: interface.name.clone(),
            ours: ABI_VERSION,
            theirs,
            holders: occupant.holders.clone(),
        });
    }
    if occupant.mode != mode {
        return Err(AttachError::OtherMode {
            interface: interface.name.clone(),
            asked: mode,
            present: occupant.mode,
            holders: occupant.holders.clone(),
        });
    }
    let maps = Maps::collect(|name| {
        let number = numbers.get(name).ok_or(AttachError::NoMap { map: name })?;
        open(*number).map_err(|source| AttachError::Map { map: name, source })
    })?;
    Ok(Some(Hold { link, program_id: occupant.program_id, mode: occupant.mode, joined: true, maps }))
}

fn open(number: u32) -> Result<Map, MapError> {
    Map::from_map_data(MapData::from_id(number)?)
}

/// The numbers of a program's maps, by name; `None` when the program is gone.
fn map_numbers(program: u32) -> Result<Option<HashMap<String, u32>>, AttachError> {
    let Some(program) = occupant::program(program)? else { return Ok(None) };
    let numbers = match program.map_ids() {
        Ok(numbers) => numbers.unwrap_or_default(),
        Err(ProgramError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(AttachError::sight("look at the maps of the program on the interface", error)),
    };
    let named = numbers.into_iter().filter_map(|number| {
        let information = MapInfo::from_id(number).ok()?;
        Some((information.name_as_str()?.to_owned(), number))
    });
    Ok(Some(named.collect()))
}

/// The version of a program's contract, which is the first field of its CONTROL whatever the rest is.
fn version(control: u32) -> Result<u32, AttachError> {
    let failed = |error: libbpf_rs::Error| AttachError::System {
        operation: "read the version of the program on the interface",
        source: io::Error::other(error),
    };
    let octets = MapHandle::from_map_id(control)
        .and_then(|control| control.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY))
        .map_err(failed)?;
    Ok(octets.as_deref().and_then(|octets| octets.first_chunk()).map_or(0, |octets| u32::from_ne_bytes(*octets)))
}
