//! How the allocator of the process is set.

/// Lets the C library keep freed memory for the next chunk.
///
/// The columns of a chunk are some hundred kilobytes each and live as long as the chunk. As it comes, the GNU allocator gives
/// such blocks back to the system, and each comes again a page fault at a time: a quarter of the time of reading CSV
/// (measured). Which memory is handed out is not changed, only when it is given back; other C libraries are left alone.
pub(super) fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the allocator's settings are a call into the C library")]
    {
        /// Blocks below it come from the library's heaps: the columns of a chunk do. Tables that grow do better as maps of their own.
        const MAPPED_FROM: libc::c_int = 4 << 20;
        /// As much may lie unused at the end of a heap.
        const TRIMMED_FROM: libc::c_int = 64 << 20;
        // SAFETY: `mallopt` takes two integers, and may be called at any time; no other thread runs yet. One that it does not
        // know it refuses, and nothing is changed then.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, TRIMMED_FROM);
        }
    }
}
