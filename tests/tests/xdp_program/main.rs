//! The XDP program frame by frame, through `BPF_PROG_TEST_RUN`: each verdict, each octet and each counter.
//!
//! What a driver adds, such as the lack of room to grow a frame, is tried on a veth pair, in `xdp_on_veth`.

mod capture;
mod instruction;
mod program;
mod reflect;
mod session;
