//! The number of datagrams that the system dropped because a socket's receive buffer was full.
//!
//! It is the counter that `SO_RXQ_OVFL` attaches to datagrams. That reports a drop only with the next datagram, which may never come;
//! `SO_MEMINFO` returns the same number at any time.

use std::os::fd::BorrowedFd;

/// The number of datagrams dropped at `socket` since it was created, modulo 2^32; `None` if the system does not say.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no crate gives this option")]
pub(super) fn dropped(socket: BorrowedFd<'_>) -> Option<u32> {
    use std::os::fd::AsRawFd;
    /// Socket option at level `SOL_SOCKET`: memory usage, since Linux 4.12.
    const SO_MEMINFO: libc::c_int = 55;
    /// The index of the drop counter, and the minimum number of values.
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

/// Other systems have no such counter.
#[cfg(not(target_os = "linux"))]
pub(super) fn dropped(_socket: BorrowedFd<'_>) -> Option<u32> {
    None
}
