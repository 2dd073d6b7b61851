//! Memory-mapped files, one window at a time. The only file of the sources with `unsafe` code, other than system calls.
//!
//! If another process truncates a mapped file, touching the missing pages raises SIGBUS. A handler maps zero pages there, so that the
//! reader continues until it checks the file's size (`Blocks::check_unchanged`), which ends the run with an error before anything is
//! published.

#![expect(unsafe_code, reason = "mapping files and handling SIGBUS is done here and nowhere else")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use memmap2::{Mmap, MmapOptions};

use crate::batch::Bytes;

/// Bytes mapped at once: large enough to make the cost of mapping negligible, small enough that unmapping does not stall.
const WINDOW: usize = 64 << 20;
/// Alignment of windows.
const PAGE: u64 = 64 << 10;

/// A regular file of which the window being read is mapped.
pub struct MappedFile {
    file: File,
    size: u64,
    position: u64,
    window: Bytes,
    /// The offset of the window in the file.
    start: u64,
}

/// A mapping registered with the SIGBUS handler.
struct Watched {
    map: Mmap,
    slot: &'static Slot,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.slot.end.store(0, Ordering::SeqCst);
        self.slot.start.store(0, Ordering::SeqCst);
    }
}

impl MappedFile {
    /// Maps a regular local file of `size` bytes.
    ///
    /// # Errors
    /// If the descriptor cannot be duplicated.
    pub fn open(file: &File, size: u64) -> io::Result<Self> {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(install_handler);
        Ok(Self { file: file.try_clone()?, size, position: 0, window: Bytes::default(), start: 0 })
    }

    /// The next `wanted` bytes, fewer at the end of the file, and whether these are the last.
    ///
    /// # Errors
    /// If the file cannot be mapped.
    pub fn peek(&mut self, wanted: usize) -> io::Result<(&[u8], bool)> {
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

    /// Takes the next `length` bytes, which were [peeked](Self::peek) at.
    pub fn take(&mut self, length: usize) -> Bytes {
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

/// Whether the file is on a local file system: on remote ones its bytes can change undetected. If the system does not say, the file counts
/// as remote, and is read instead of mapped.
pub fn is_local(file: &File) -> bool {
    // SAFETY: `statfs` is plain data, for which all zeros are valid; the descriptor is open and the pointer
    // is to a local that lives through the call.
    let (result, stat) = unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        (libc::fstatfs(file.as_raw_fd(), &raw mut stat), stat)
    };
    result == 0 && is_on_local(&stat)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_on_local(stat: &libc::statfs) -> bool {
    /// `f_type` of NFS, SMB, SMB2, CIFS, FUSE, Ceph, AFS, 9P.
    const REMOTE: [u32; 8] =
        [0x6969, 0x517b, 0xfe53_4d42, 0xff53_4d42, 0x6573_5546, 0x00c3_6400, 0x5346_414f, 0x0102_1997];
    // The type differs between C libraries and processors; the values have 32 bits.
    !REMOTE.contains(&(stat.f_type as u32))
}

#[cfg(target_vendor = "apple")]
fn is_on_local(stat: &libc::statfs) -> bool {
    stat.f_flags & libc::MNT_LOCAL.cast_unsigned() != 0
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn is_on_local(_stat: &libc::statfs) -> bool {
    false
}

/// One mapped window, for the handler: 0 … 0 is free.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
}

/// A list of slots that only grows: the handler can walk it at any time.
struct Slots {
    slots: [Slot; 256],
    more: AtomicPtr<Slots>,
}

static SLOTS: Slots = Slots::new();

/// The previous handler of the signal.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// The size of a memory page in bytes.
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(4096);

impl Slots {
    const fn new() -> Self {
        let slots = [const { Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(0) } }; 256];
        Self { slots, more: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The next block of slots, if any. Must not allocate: called by the handler.
    fn next(&self) -> Option<&'static Self> {
        let more = self.more.load(Ordering::Acquire);
        // SAFETY: null, or from the `Box::leak` in `next_or_new`: alive for ever, and only ever shared.
        unsafe { more.as_ref() }
    }

    fn next_or_new(&self) -> &'static Self {
        if let Some(next) = self.next() {
            return next;
        }
        let new = Box::leak(Box::new(Self::new()));
        match self.more.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => new,
            Err(_) => {
                // SAFETY: no other thread has a reference to it, and it was created from a box above.
                drop(unsafe { Box::from_raw(new) });
                self.next().unwrap_or(&SLOTS)
            }
        }
    }
}

/// Registers a mapping with the handler.
fn watch(map: &Mmap) -> &'static Slot {
    let start = map.as_ptr().addr();
    let take =
        |slot: &&Slot| slot.start.compare_exchange(0, start, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    let mut all = &SLOTS;
    loop {
        if let Some(free) = all.slots.iter().find(take) {
            free.end.store(start + map.len(), Ordering::SeqCst);
            return free;
        }
        all = all.next_or_new();
    }
}

fn install_handler() {
    // SAFETY: `sigaction` is plain data; the handler has the signature that SA_SIGINFO asks for and does nothing
    // that is not async-signal-safe: it reads atomics and calls mmap and signal, or the previous handler.
    unsafe {
        let size = libc::sysconf(libc::_SC_PAGESIZE);
        PAGE_SIZE.store(usize::try_from(size).unwrap_or(4096), Ordering::SeqCst);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        let mut previous: libc::sigaction = std::mem::zeroed();
        let asked = libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut previous);
        if asked == 0 && previous.sa_sigaction != action.sa_sigaction {
            // Stored before it can be needed, and never freed: a handler may be reading it.
            PREVIOUS.store(Box::into_raw(Box::new(previous)), Ordering::SeqCst);
        }
        libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut());
    }
}

/// Maps zero pages from the fault to the end of its window. A fault elsewhere goes to the previous handler; by default the process dies.
extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` for SIGBUS.
    let fault = unsafe { (*info).si_addr() }.addr();
    let covers = |slot: &&Slot| {
        let (start, end) = (slot.start.load(Ordering::SeqCst), slot.end.load(Ordering::SeqCst));
        start != 0 && start <= fault && fault < end
    };
    let mut all = std::iter::successors(Some(&SLOTS), |slots| slots.next()).flat_map(|slots| &slots.slots);
    let replaced = all.find(covers).is_some_and(|slot| {
        let page = fault - fault % PAGE_SIZE.load(Ordering::SeqCst);
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
        hand_on(signal, info, context);
    }
}

/// Passes the signal to the previous handler.
fn hand_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    type Plain = extern "C" fn(libc::c_int);
    // SAFETY: null, or from the `Box::into_raw` in `install_handler`: never freed.
    let previous = unsafe { PREVIOUS.load(Ordering::SeqCst).as_ref() };
    match previous.map(|previous| (previous.sa_sigaction, previous.sa_flags & libc::SA_SIGINFO != 0)) {
        None | Some((libc::SIG_DFL | libc::SIG_IGN, _)) => {
            // SAFETY: resetting to the default action is allowed in a handler; the fault repeats and is final.
            unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
        }
        Some((handler, true)) => {
            // SAFETY: the system had this as a handler of the signal with this signature, as the flag says.
            let handler: WithInfo = unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        Some((handler, false)) => {
            // SAFETY: likewise, without the flag.
            let handler: Plain = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn file(bytes: usize) -> File {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(bytes as u64).expect("grown");
        file
    }

    #[test]
    fn however_many_windows_there_are_a_file_that_is_cut_off_reads_as_zeros() {
        let (file, size) = (file(8192), 8192);
        let mut maps: Vec<_> = (0..1000)
            .map(|_| {
                let mut map = MappedFile::open(&file, size).expect("mapped");
                map.peek(1).expect("a window");
                map
            })
            .collect();
        file.set_len(0).expect("cut off");
        for map in &mut maps {
            assert_eq!(map.take(size as usize).as_slice(), vec![0; size as usize]);
        }
    }

    static IS_ASKED: AtomicBool = AtomicBool::new(false);

    extern "C" fn somebody_else(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        IS_ASKED.store(true, Ordering::SeqCst);
        // SAFETY: as in the handler above; the page is of the map in the test, which is alive.
        unsafe {
            let page = (*info).si_addr().addr() & !(PAGE_SIZE.load(Ordering::SeqCst) - 1);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            let length = PAGE_SIZE.load(Ordering::SeqCst);
            libc::mmap(page as *mut libc::c_void, length, libc::PROT_READ, flags, -1, 0);
        }
    }

    #[test]
    fn a_fault_that_is_not_ours_is_for_whoever_was_there_before() {
        // SAFETY: as in `install_handler`.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = somebody_else as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut());
        }
        install_handler();
        let file = file(8192);
        // SAFETY: the map is private, and what becomes of the file is what is tried here.
        let map = unsafe { MmapOptions::new().len(8192).map(&file).expect("mapped") };
        file.set_len(0).expect("cut off");
        assert_eq!(map[0], 0);
        assert!(IS_ASKED.load(Ordering::SeqCst));
    }
}
