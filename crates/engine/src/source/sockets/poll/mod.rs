//! Polling for readable sockets: `epoll` on Linux, `kqueue` on macOS and the BSDs, behind one interface.
//!
//! Both are level-triggered: a socket that still has bytes is returned by the next call again, so a socket need not be read until it is
//! empty. A wait is one system call. The well-known crates do not offer both: `mio` is edge-triggered only, and `polling` makes five calls
//! for a wait on Linux.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod kqueue;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) use self::epoll::Poll;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) use self::kqueue::Poll;

/// Maximum number of sockets returned by one wait.
pub(super) const AT_ONCE: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::{AT_ONCE, Poll};

    fn readable(poll: &Poll) -> Vec<u64> {
        let mut ids = vec![99];
        poll.wait(Duration::ZERO, &mut ids).expect("waited");
        ids.sort_unstable();
        ids
    }

    #[test]
    fn a_socket_is_named_as_long_as_it_has_bytes_or_has_ended_and_until_it_is_removed() {
        let poll = Poll::new().expect("a poll");
        let (mut near, mut far) = UnixStream::pair().expect("a pair");
        let (silent, _other) = UnixStream::pair().expect("a pair");
        poll.add(near.as_fd(), 7).expect("added");
        poll.add(silent.as_fd(), 8).expect("added");
        assert!(readable(&poll).is_empty());
        far.write_all(b"ab").expect("written");
        assert_eq!(readable(&poll), [7]);
        near.read_exact(&mut [0]).expect("one of two bytes");
        assert_eq!(readable(&poll), [7], "one byte is left");
        near.read_exact(&mut [0]).expect("the other byte");
        assert!(readable(&poll).is_empty());
        drop(far);
        assert_eq!(readable(&poll), [7], "the end is something to read, too");
        poll.remove(near.as_fd());
        assert!(readable(&poll).is_empty());
    }

    #[test]
    fn a_wait_names_at_most_so_many_and_the_others_once_those_are_read() {
        let poll = Poll::new().expect("a poll");
        let mut pairs: Vec<_> = (0..AT_ONCE + 3).map(|_| UnixStream::pair().expect("a pair")).collect();
        for (id, (near, far)) in pairs.iter_mut().enumerate() {
            poll.add(near.as_fd(), id as u64).expect("added");
            far.write_all(b"x").expect("written");
        }
        let mut named = readable(&poll);
        assert_eq!(named.len(), AT_ONCE);
        for &id in &named {
            pairs[id as usize].0.read_exact(&mut [0]).expect("a byte");
        }
        let rest = readable(&poll);
        assert_eq!(rest.len(), 3);
        named.extend(rest);
        named.sort_unstable();
        assert_eq!(named, (0..AT_ONCE as u64 + 3).collect::<Vec<_>>());
    }
}
