//! Settings of the process's allocator.

/// Lets the C library keep freed memory for the next chunk.
///
/// The columns of a chunk are some hundred kilobytes each and live as long as the chunk. By default, the GNU allocator returns
/// such blocks to the system, and each new one costs page faults: a quarter of the time of reading CSV
/// (measured). This only changes when memory is returned; other C libraries are left alone.
pub(super) fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the allocator's settings are a call into the C library")]
    {
        /// Smaller blocks, such as the columns of a chunk, come from the library's heaps. Growing tables are better mapped separately.
        const MAPPED_FROM: libc::c_int = 4 << 20;
        /// This much may be unused at the end of a heap.
        const TRIMMED_FROM: libc::c_int = 64 << 20;
        // SAFETY: `mallopt` takes two integers, and may be called at any time; no other thread runs yet. It rejects an unknown
        // parameter without any change.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, TRIMMED_FROM);
        }
    }
}
