//! The same records once more, in files that roll: whatever was killed when, one behind the other they are what is in the files that do not.

use std::path::Path;

use super::command::{run, text};
use super::rig::files;

/// Sinks beside those whose output is compared; both take all there is.
pub(crate) const SINKS: &str = "\
    [[sink]]\ntype = 'csv'\npath = 'rolled/{epoch}-all.csv'\nroll = { size = '20kB' }\n\
    [[sink]]\ntype = 'csv'\npath = 'rolled/{date}/{hour}-{epoch}.csv'\nroll = { every = '3ms', keep = '1d' }\n\
    [[sink]]\ntype = 'parquet'\npath = 'rolled/{epoch}.parquet'\nrow_group = 300\nroll = { size = '3kB' }\n\
    [[sink]]\ntype = 'parquet'\npath = 'rolled/{date}/{hour}-{epoch}.parquet'\nrow_group = 2000\nroll = { every = '8ms' }\n\
    [[sink]]\ntype = 'dead_letter'\npath = 'rolled/{epoch}-rejects.jsonl'\nroll = { every = '1ms', size = '1GB' }\n";

/// Holds that the files that rolled have what `all` and `rejects` have, and that nothing is left in the making.
#[track_caller]
pub(crate) fn check(folder: &Path, all: &[u8], rejects: &[u8], told: &str) {
    let rolled = folder.join("rolled");
    let header = &all[..1 + all.iter().position(|&byte| byte == b'\n').expect("a header")];
    let joined = |folder: &Path, end: &str, header: &[u8]| {
        let mut joined = header.to_vec();
        for (name, bytes) in files(folder).iter().filter(|(name, _)| name.ends_with(end)) {
            assert!(!name.starts_with('.'), "{told}: {name} is left");
            assert!(
                bytes.starts_with(header) && bytes.len() > header.len(),
                "{told}: {name}: {}",
                text(bytes)
            );
            joined.extend_from_slice(&bytes[header.len()..]);
        }
        joined
    };
    let same = |found: &[u8], whole: &[u8], what: &str| {
        assert!(
            found == whole,
            "{told}, {what}: {} bytes where {} are expected\n{}",
            found.len(),
            whole.len(),
            text(found)
        );
    };
    for (at, pattern) in ["rolled/*.parquet", "rolled/2024*/*.parquet"].into_iter().enumerate() {
        let name = format!("again-{at}.csv");
        let toml = format!(
            "[source]\ntype = 'parquet'\npath = '{pattern}'\ntime = 't'\nsensor = 's'\n[[sink]]\ntype = 'csv'\npath = '{name}'\n"
        );
        std::fs::write(folder.join("reread.toml"), toml).expect("written");
        let again = run(folder, &["run", "reread.toml", "--quiet"]);
        assert!(again.status.success(), "{told}, {pattern}: {}", text(&again.stderr));
        same(&std::fs::read(folder.join(name)).expect("read"), all, pattern);
    }
    same(&joined(&rolled, "-all.csv", header), all, "rolled by size");
    same(&joined(&rolled, "-rejects.jsonl", b""), rejects, "rejects");
    // Intervals may begin the day before.
    let days = ["2024-04-30", "2024-05-01"]
        .map(|day| joined(&rolled.join(day), ".csv", header)[header.len()..].to_vec());
    same(&[header, &days.concat()].concat(), all, "rolled by time");
}
