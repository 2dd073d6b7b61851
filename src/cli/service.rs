//! Messages to the service manager that has started this process (`sd_notify`), such as systemd.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use tidemill_engine::environment;

/// Whether there is one, and it wants to know.
pub(super) fn is_there() -> bool {
    environment::variable("NOTIFY_SOCKET").is_some()
}

/// Tells it something, such as `READY=1`. It is not an error if it does not listen.
pub(super) fn tell(message: &str) {
    let Some(address) = environment::variable("NOTIFY_SOCKET") else { return };
    let _nobody_listens = send(&address, message);
}

/// The message that begins a reload; `READY=1` ends it.
pub(super) fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1000));
}

/// Within what time it wants to hear that this process is alive; `None` if it does not.
pub(super) fn watchdog() -> Option<Duration> {
    let is_ours = environment::variable("WATCHDOG_PID").is_none_or(|id| id == std::process::id().to_string());
    let micros = environment::variable("WATCHDOG_USEC")?.parse().ok().filter(|&micros: &u64| micros > 0)?;
    is_ours.then(|| Duration::from_micros(micros))
}

fn send(address: &str, message: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold the run up.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &parsed(address)?).map(drop)
}

/// A path, or a name without a file after `@`.
fn parsed(address: &str) -> io::Result<SocketAddr> {
    match address.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        #[cfg(not(target_os = "linux"))]
        Some(_) => Err(io::ErrorKind::Unsupported.into()),
        None => SocketAddr::from_pathname(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_at_a_path_and_at_a_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let received = |socket: &UnixDatagram| {
            let mut bytes = [0; 100];
            let length = socket.recv(&mut bytes).expect("a message");
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        let socket = UnixDatagram::bind(&path).expect("bound");
        send(path.to_str().expect("text"), "READY=1").expect("sent");
        assert_eq!(received(&socket), "READY=1");
        assert!(send("/nowhere/notify", "READY=1").is_err());
        #[cfg(target_os = "linux")]
        {
            let name = format!("@tidemill-test-{}", std::process::id());
            let socket = UnixDatagram::bind_addr(&parsed(&name).expect("a name")).expect("bound");
            send(&name, "WATCHDOG=1").expect("sent");
            assert_eq!(received(&socket), "WATCHDOG=1");
        }
    }
}
