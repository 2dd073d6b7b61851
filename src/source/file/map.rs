//! Files mapped into memory, a window at a time. The one file of the sources with `unsafe` in it.
//!
//! A mapped file that another process truncates gives SIGBUS on the next touch of the missing pages. A handler
//! puts zero pages there instead, so that the reader goes on and then meets the check of the
//! file's size (`Blocks::check_unchanged`), which ends the run with an error before anything is published.

#![expect(unsafe_code, reason = "mapping files and handling SIGBUS is done here and nowhere else")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{Mmap, MmapOptions};

use crate::batch::Bytes;

/// Bytes mapped at once: large enough that mapping costs nothing, small enough that unmapping does not stall.
const WINDOW: usize = 64 << 20;
/// Where windows may begin.
const PAGE: u64 = 64 << 10;

/// A regular file, mapped where it is being read.
pub(crate) struct MappedFile {
    file: File,
    size: u64,
    position: u64,
    window: Bytes,
    /// Where in the file the window begins.
    start: u64,
}

/// A map that the SIGBUS handler knows.
struct Watched {
    map: Mmap,
    slot: Option<&'static Slot>,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.end.store(0, Ordering::SeqCst);
            slot.start.store(0, Ordering::SeqCst);
        }
    }
}

impl MappedFile {
    /// Takes over a regular local file of `size` bytes.
    pub(crate) fn open(file: &File, size: u64) -> io::Result<Self> {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(install_handler);
        Ok(Self { file: file.try_clone()?, size, position: 0, window: Bytes::default(), start: 0 })
    }

    pub(crate) fn peek(&mut self, wanted: usize) -> io::Result<(&[u8], bool)> {
        let wanted = (self.size - self.position).min(wanted as u64) as usize;
        let end = self.position + wanted as u64;
        if self.position < self.start || end > self.start + self.window.len() as u64 {
            self.start = self.position - self.position % PAGE;
            let length = (self.size - self.start).min((end - self.start).max(WINDOW as u64)) as usize;
            self.window = Bytes::new(map(&self.file, self.start, length)?);
        }
        let from = (self.position - self.start) as usize;
        Ok((&self.window.as_slice()[from..from + wanted], end == self.size))
    }

    pub(crate) fn take(&mut self, length: usize) -> Bytes {
        let from = (self.position - self.start) as usize;
        self.position += length as u64;
        self.window.slice(from..from + length)
    }

    pub(super) fn skip(&mut self, length: u64) {
        self.position = self.size.min(self.position + length);
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }
}

fn map(file: &File, start: u64, length: usize) -> io::Result<Watched> {
    // SAFETY: the map is private and read only. The caller opened a regular file and compares its size and
    // time before results are published, so bytes that another process changes are never trusted as UTF-8 or as
    // lengths beyond the checks every field goes through; truncation is caught by the SIGBUS handler below.
    let map = unsafe { MmapOptions::new().offset(start).len(length).map(file)? };
    let slot = watch(&map);
    Ok(Watched { map, slot })
}

/// Whether the file lies on a file system of this machine: on others its bytes can change without a trace.
pub(crate) fn is_local(file: &File) -> bool {
    /// `f_type` of NFS, SMB, SMB2, CIFS, FUSE, Ceph, AFS, 9P.
    const REMOTE: [i64; 8] =
        [0x6969, 0x517b, 0xfe53_4d42, 0xff53_4d42, 0x6573_5546, 0x00c3_6400, 0x5346_414f, 0x0102_1997];
    // SAFETY: `statfs` is plain data, for which all zeros are valid; the descriptor is open and the pointer
    // is to a local that lives through the call.
    let (result, stat) = unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        (libc::fstatfs(file.as_raw_fd(), &raw mut stat), stat)
    };
    #[expect(clippy::unnecessary_cast, reason = "the type differs between platforms")]
    let kind = stat.f_type as i64 & 0xffff_ffff;
    result == 0 && !REMOTE.contains(&kind)
}

/// One mapped window, for the handler: 0 … 0 is free.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
}

/// More windows than are ever mapped at once: a few chunks in flight for each thread.
static SLOTS: [Slot; 256] = [const { Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(0) } }; 256];

/// Tells the handler of a map. Without a free slot the map works all the same; only truncation is fatal then.
fn watch(map: &Mmap) -> Option<&'static Slot> {
    let start = map.as_ptr().addr();
    let free = SLOTS
        .iter()
        .find(|slot| slot.start.compare_exchange(0, start, Ordering::SeqCst, Ordering::SeqCst).is_ok())?;
    free.end.store(start + map.len(), Ordering::SeqCst);
    Some(free)
}

fn install_handler() {
    // SAFETY: `sigaction` is plain data; the handler has the signature that SA_SIGINFO asks for and does nothing
    // that is not async-signal-safe: it reads atomics and calls mmap and sigaction.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

/// Puts zero pages from the fault to the end of its window. A fault elsewhere gets the default action: the process dies.
extern "C" fn on_bus_error(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` for SIGBUS.
    let fault = unsafe { (*info).si_addr() }.addr();
    let covers = |slot: &&Slot| {
        let (start, end) = (slot.start.load(Ordering::SeqCst), slot.end.load(Ordering::SeqCst));
        start != 0 && start <= fault && fault < end
    };
    let replaced = SLOTS.iter().find(covers).is_some_and(|slot| {
        let page = fault - fault % 4096;
        let length = slot.end.load(Ordering::SeqCst) - page;
        // SAFETY: the range is within a map that is alive (its slot is freed before it is unmapped), so nothing
        // else is replaced; readers see zeros from now on, which the size check turns into an error.
        let zeros = unsafe {
            libc::mmap(
                page as *mut libc::c_void,
                length,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        zeros != libc::MAP_FAILED
    });
    if !replaced {
        // SAFETY: resetting to the default action is allowed in a handler; the fault repeats and is final.
        unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
    }
}
