//! Sends a file as fast as it is taken.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::{Options, connect, failed};

/// Whole turns through the file, then the end of the connection; waits until the other side has read all and closed it, too.
///
/// The kernel takes the bytes from the page cache: what this costs beyond the connection itself is close to nothing.
pub(crate) fn flood(address: &str, path: &Path, options: &Options) -> Result<String, String> {
    let turns: u64 = options.get("turns", 1)?;
    let unreadable = |error: io::Error| format!("{}: {error}", path.display());
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let header = file.skip_until(b'\n').map_err(unreadable)? as u64;
    let mut file = file.into_inner();
    let mut stream = connect(address)?;
    let start = Instant::now();
    let over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        if turns == 0 {
            let _waits_for_the_end = scope.spawn(|| {
                let _read = io::stdin().read_to_end(&mut Vec::new());
                over.store(true, Ordering::Release);
            });
        }
        let (mut sent, mut bytes) = (0, 0);
        while sent < turns || turns == 0 && !over.load(Ordering::Acquire) {
            file.seek(SeekFrom::Start(header)).map_err(unreadable)?;
            bytes += send(&mut file, &mut stream)?;
            sent += 1;
        }
        Ok::<_, String>((sent, bytes))
    });
    let (sent, bytes) = sent?;
    let in_the_kernel = start.elapsed();
    stream.shutdown(Shutdown::Write).map_err(|error| failed(&error))?;
    let _closed = stream.read(&mut [0]);
    let taken = start.elapsed();
    Ok(format!(
        "{{\"turns\": {sent}, \"bytes\": {bytes}, \"sending_s\": {:.6}, \"taken_s\": {:.6}}}",
        in_the_kernel.as_secs_f64(),
        taken.as_secs_f64()
    ))
}

/// The standard library has the kernel move the bytes.
fn send(file: &mut File, stream: &mut TcpStream) -> Result<u64, String> {
    io::copy(file, stream).map_err(|error| failed(&error))
}
