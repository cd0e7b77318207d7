//! The program's maps as the kernel has them, opened by number.

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapInfo, PerCpuArray, PerCpuValues};
use aya::programs::loaded_programs;
use aya::util::nr_cpus;
use probe_wire::shared::SLOTS;

pub(crate) struct SharedMaps(u32);

impl SharedMaps {
    pub(crate) fn of(program: u32) -> Self {
        Self(program)
    }

    fn open(&self, name: &str) -> Map {
        let program = loaded_programs().filter_map(Result::ok).find(|program| program.id() == self.0).unwrap();
        let number = program
            .map_ids()
            .unwrap()
            .unwrap()
            .into_iter()
            .find(|number| MapInfo::from_id(*number).unwrap().name_as_str() == Some(name))
            .unwrap_or_else(|| panic!("the program has no map {name}"));
        Map::from_map_data(MapData::from_id(number).unwrap()).unwrap()
    }

    pub(crate) fn port(&self, port: u16) -> [u8; 8] {
        let map: Array<_, [u8; 8]> = self.open("PORTS").try_into().unwrap();
        map.get(&u32::from(port), 0).unwrap()
    }

    pub(crate) fn addresses(&self) -> Vec<[u8; 16]> {
        let map: HashMap<_, [u8; 16], u32> = self.open("ADDRESSES").try_into().unwrap();
        map.keys().map(Result::unwrap).collect()
    }

    pub(crate) fn allowed(&self) -> Vec<(u32, [u8; 20])> {
        let map: LpmTrie<_, [u8; 20], u32> = self.open("ALLOWED").try_into().unwrap();
        map.keys().map(Result::unwrap).map(|key: Key<[u8; 20]>| (key.prefix_len(), key.data())).collect()
    }

    pub(crate) fn slots_taken(&self) -> Vec<u32> {
        let map: Array<_, [u8; 8]> = self.open("HOLDERS").try_into().unwrap();
        (0..SLOTS).filter(|slot| map.get(slot, 0).unwrap()[..4] != [0; 4]).collect()
    }

    /// Sets a counter to a value on every processor.
    pub(crate) fn count(&self, index: u32, value: u64) {
        let mut map: PerCpuArray<_, u64> = self.open("COUNTERS").try_into().unwrap();
        map.set(index, PerCpuValues::try_from(vec![value; nr_cpus().unwrap()]).unwrap(), 0).unwrap();
    }

    pub(crate) fn set_version(&self, version: u32) {
        let mut map: Array<_, [u8; 56]> = self.open("CONTROL").try_into().unwrap();
        let mut control = map.get(&0, 0).unwrap();
        control[..4].copy_from_slice(&version.to_ne_bytes());
        map.set(0, control, 0).unwrap();
    }

    pub(crate) fn log_one_of(&self) -> u32 {
        let map: Array<_, [u8; 56]> = self.open("CONTROL").try_into().unwrap();
        let control = map.get(&0, 0).unwrap();
        u32::from_ne_bytes([control[8], control[9], control[10], control[11]])
    }
}
