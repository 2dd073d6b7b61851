//! Kill it at any moment: nothing is lost, repeated or spliced.
//!
//! The command runs in a folder of its own and is killed after a random time, again and again, also while it recovers. What it has written
//! in the end is compared with that of a run that nobody disturbed, or with what was sent.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how many kills: of the first three tests together, about 240 if not given; of the one with named points, 50 |
//! | `TIDEMILL_SEED` | replays the delays and settings of an earlier run; the moment of a kill depends on the machine too |

#[path = "kills/ahead.rs"]
mod ahead;
#[path = "common/command.rs"]
mod command;
#[path = "kills/ended.rs"]
mod ended;
#[path = "kills/grown.rs"]
mod grown;
#[path = "common/of_disk.rs"]
mod of_disk;
#[path = "common/packers.rs"]
mod packers;
#[path = "kills/points.rs"]
mod points;
#[path = "kills/rig.rs"]
mod rig;
#[path = "kills/rolled.rs"]
mod rolled;
#[path = "common/seed.rs"]
mod seed;
#[path = "kills/sent.rs"]
mod sent;

#[test]
fn a_run_over_files_killed_at_any_moments_loses_and_repeats_nothing() {
    rig::campaign(40, 2, ended::story);
}

#[test]
fn a_run_that_follows_files_killed_at_any_moments_loses_and_repeats_nothing() {
    rig::campaign(25, 1, grown::story);
}

#[test]
fn a_run_that_listens_killed_at_any_moments_loses_only_what_no_checkpoint_had() {
    rig::campaign(15, 1, sent::story);
}

#[test]
fn what_a_killed_run_had_not_begun_is_what_the_next_one_reads_or_it_is_refused() {
    for kind in &ahead::KINDS {
        ahead::story(command::folder().path(), kind);
    }
}

#[test]
fn what_has_changed_since_a_run_was_killed_is_gone_on_with_where_that_is_accepted() {
    for kind in &ahead::KINDS {
        ahead::accepted(command::folder().path(), kind);
    }
}

#[test]
fn a_run_with_a_slow_sink_and_one_that_fails_killed_at_each_named_point_loses_and_repeats_nothing() {
    points::campaign(rig::kills(50));
}

#[test]
#[ignore = "the process that the test of the named points kills"]
fn a_process_that_is_killed_at_a_point() {
    points::process();
}
