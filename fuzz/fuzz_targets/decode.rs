//! See [`tidemill_fuzz::decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    tidemill_fuzz::decode::check(input);
});
