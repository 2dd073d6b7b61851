//! Damage: bytes flipped, replaced, cut out, doubled, inserted, in whatever a run reads. No panic, no hang, no silence: what comes out is right,
//! or what is not is counted, or an error names the file.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_MUTATIONS` | how many in all; 1,000 if not given |
//! | `TIDEMILL_SEED` | replays those of an earlier run |

#[path = "mutations/checkpoints.rs"]
mod checkpoints;
#[path = "mutations/json.rs"]
mod json;
#[path = "mutations/packed.rs"]
mod packed;
#[path = "common/packers.rs"]
mod packers;
#[path = "mutations/parquet.rs"]
mod parquet;
#[path = "mutations/pipelines.rs"]
mod pipelines;
#[path = "mutations/recordings.rs"]
mod recordings;
#[path = "mutations/rig.rs"]
mod rig;
#[path = "common/seed.rs"]
mod seed;

use rig::campaign;

#[test]
fn packed_text_is_unpacked_right_or_refused() {
    campaign(24, packed::bench());
}

#[test]
fn objects_that_are_not_damaged_come_out_of_damaged_json() {
    campaign(20, json::bench());
}

#[test]
fn damaged_parquet_has_all_its_records_or_is_refused() {
    campaign(16, parquet::bench());
}

#[test]
fn a_run_goes_on_from_a_checkpoint_that_is_whole_or_not_at_all() {
    campaign(14, checkpoints::bench());
}

#[test]
fn of_a_damaged_recording_pieces_come_out_whole_and_what_is_missing_is_said() {
    campaign(14, recordings::bench());
}

#[test]
fn damaged_pipeline_files_are_refused_by_name_or_run() {
    campaign(12, pipelines::bench());
}
