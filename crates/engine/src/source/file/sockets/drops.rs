//! How many datagrams the system has dropped because a socket's receive buffer was full.
//!
//! It is the counter that `SO_RXQ_OVFL` adds to datagrams. That tells of a drop with the next datagram only, which may never come;
//! `SO_MEMINFO` gives the same number at any time.

use std::os::fd::BorrowedFd;

/// How many datagrams have been dropped at `socket` since it was made, modulo 2^32; `None` where the system does not say.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no crate gives this option")]
pub(super) fn dropped(socket: BorrowedFd<'_>) -> Option<u32> {
    use std::os::fd::AsRawFd;
    /// Of all sockets' options: what its memory is used for, since Linux 4.12.
    const SO_MEMINFO: libc::c_int = 55;
    /// Which of its numbers counts drops, and how many numbers there are at least.
    const DROPS: usize = 8;
    const NUMBERS: usize = 9;

    let mut numbers = [0_u32; 16];
    let mut length = size_of_val(&numbers) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as it is borrowed; the system writes at most `length` bytes to `numbers`, which are that
    // long and valid for any bytes, and then says in `length` how many it wrote.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            numbers.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let has_drops = status == 0 && length as usize >= NUMBERS * size_of::<u32>();
    has_drops.then_some(numbers[DROPS])
}

/// Other systems do not say.
#[cfg(not(target_os = "linux"))]
pub(super) fn dropped(_socket: BorrowedFd<'_>) -> Option<u32> {
    None
}
