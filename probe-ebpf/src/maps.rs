//! The maps, as `probe_wire::shared` describes them.

use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::LpmTrie;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, XskMap};
use probe_wire::address::Address;
use probe_wire::shared::{self, AllowedKey, Control, Holder, PortEntry, Session, SessionKey};

/// Flag of maps whose memory is taken as entries come (BPF_F_NO_PREALLOC), which a trie requires.
const NO_PREALLOCATION: u32 = 1;

#[map]
pub(crate) static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

#[map]
pub(crate) static PORTS: Array<PortEntry> = Array::with_max_entries(1 << 16, 0);

#[map]
pub(crate) static ADDRESSES: HashMap<Address, u32> = HashMap::with_max_entries(shared::ADDRESSES, 0);

#[map]
pub(crate) static ALLOWED: LpmTrie<AllowedKey, u32> = LpmTrie::with_max_entries(shared::ALLOWED, NO_PREALLOCATION);

#[map]
pub(crate) static SESSIONS: LruHashMap<SessionKey, Session> = LruHashMap::with_max_entries(shared::SESSIONS, 0);

#[map]
pub(crate) static SOCKETS: XskMap = XskMap::with_max_entries(shared::QUEUES, 0);

#[map]
pub(crate) static COUNTERS: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(shared::SLOTS * shared::COUNTERS_PER_SLOT, 0);

/// Written and read by the holders alone; here so that it lives as long as the program.
#[map]
pub(crate) static HOLDERS: Array<Holder> = Array::with_max_entries(shared::SLOTS, 0);
