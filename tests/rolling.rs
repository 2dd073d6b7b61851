//! Files that roll (clause 19): cuts decide where they divide, and nothing else. `TIDEMILL_SEED` replays what a failure names.

#[path = "rolling/cuts.rs"]
mod cuts;
#[path = "rolling/full.rs"]
mod full;
#[path = "rolling/kept.rs"]
mod kept;
#[path = "common/of_disk.rs"]
mod of_disk;
#[path = "rolling/parquet.rs"]
mod parquet;
#[path = "rolling/paths.rs"]
mod paths;
#[path = "rolling/place.rs"]
mod place;
#[path = "rolling/resumed.rs"]
mod resumed;
#[path = "common/seed.rs"]
mod seed;
