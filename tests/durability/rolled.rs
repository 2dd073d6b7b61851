//! Files that roll, on a disk that is cut off: one behind the other they are what an uninterrupted run writes to one file.

use rand::RngExt;
use tidemill::Pipeline;

use crate::model::{Fault, Model, Plan, random};
use crate::rig::{Files, OUT, Rig};

/// Ends of the names of the files that roll, and the file that each is another form of.
const ROLLED: [(&str, &str, &str); 3] =
    [("2024-05-01", "-a.csv", "a.csv"), ("", "-b.jsonl", "b.jsonl"), ("", "-c.jsonl", "c.jsonl")];

/// The sinks of [`Rig::toml`] but for the last, whose files roll: with every cut, and with some.
fn pipeline(rig: &Rig, columns: &str) -> Pipeline {
    let toml = rig.toml(0, OUT);
    let toml = toml.split("[[sink]]").next().expect("a source").to_owned();
    let sinks = format!(
        "[[sink]]\ntype = 'csv'\npath = '{OUT}/{{date}}/{{hour}}-{{epoch}}-a.csv'\nroll = {{ every = '1ns' }}\n\
         [[sink]]\ntype = 'jsonl'\npath = '{OUT}/{{epoch}}-b.jsonl'\nsensors = ['s1*']\nroll = {{ size = '200B' }}\n\
         [[sink]]\ntype = 'dead_letter'\npath = '{OUT}/{{epoch}}-c.jsonl'\nroll = {{ size = '300B' }}\n{columns}"
    );
    Pipeline::from_toml(&(toml + &sinks)).expect("a pipeline")
}

/// What is visible of one of them.
fn visible(disk: &Model, folder: &str, end: &str, header: &[u8]) -> Vec<u8> {
    let files = disk.files(&format!("{OUT}/{folder}"));
    let visible = files.iter().filter(|(name, _)| name.ends_with(end) && !name.starts_with('.'));
    let texts = visible.map(|(name, bytes)| {
        bytes.strip_prefix(header).unwrap_or_else(|| panic!("{name}: {}", String::from_utf8_lossy(bytes)))
    });
    header.iter().copied().chain(texts.flatten().copied()).collect()
}

/// The Parquet files that are visible.
fn visible_columns(disk: &Model) -> Vec<Vec<u8>> {
    let files = disk.files(OUT).into_iter();
    files
        .filter(|(name, _)| name.ends_with(".parquet") && !name.starts_with('.'))
        .map(|(_, bytes)| bytes)
        .collect()
}

fn header(name: &str, bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == b'\n').expect("a line");
    if name.ends_with(".csv") { bytes[..=end].to_vec() } else { Vec::new() }
}

/// Holds that the visible files are a beginning of what they should be, and all of it at the end of the run.
#[track_caller]
fn check(disk: &Model, expected: &Files, is_over: bool, columns: &[Vec<u8>], when: &dyn Fn() -> String) {
    for (folder, end, name) in ROLLED {
        let whole = &expected[name];
        let found = visible(disk, folder, end, &header(name, whole));
        let text = || String::from_utf8_lossy(&found).into_owned();
        let is_right = if is_over { found == *whole } else { whole.starts_with(&found) };
        assert!(is_right, "{name}, {}:\n{}", when(), text());
    }
    assert!(!is_over || visible_columns(disk) == columns, "{}: Parquet", when());
    let names = [OUT.to_owned(), format!("{OUT}/2024-05-01")].map(|folder| disk.files(&folder));
    let hidden: Vec<_> = names.iter().flat_map(Files::keys).filter(|name| name.starts_with('.')).collect();
    assert!(!is_over || hidden.is_empty(), "{}: {hidden:?}", when());
}

/// Cuts a run off at every call, and goes on with what `survives` each time.
fn cut_off_everywhere(rig: &Rig, columns: &str, seed: u64, states: u64) {
    let (pipeline, expected) = (pipeline(rig, columns), rig.expected(0));
    let whole = Model::new(None);
    rig.run_on(pipeline.clone(), whole.clone(), false).expect("a run");
    let columns = &visible_columns(&whole);
    check(&whole, &expected, true, columns, &|| "uninterrupted".into());
    let rolled = whole.files(&format!("{OUT}/2024-05-01")).len();
    assert!(rolled > 4, "{rolled} files");
    for call in 0..whole.calls() {
        let disk = Model::new(Some(Plan { call, fault: Fault::Power, for_good: true }));
        let _cut = rig.run_on(pipeline.clone(), disk.clone(), false);
        for state in 0..states {
            let mut random = random(seed ^ ((call as u64) << 8) ^ state);
            let when =
                || format!("TIDEMILL_SEED={seed}, cut at call {call} ({}), state {state}", disk.call(call));
            // Killed; then without power, once more while the run recovers every other time.
            let mut after = match state {
                0 => disk.restart(None),
                _ => {
                    let call = random.random_range(0..whole.calls());
                    let again =
                        (state % 2 == 1).then_some(Plan { call, fault: Fault::Power, for_good: true });
                    disk.power_on(&mut random, again)
                }
            };
            check(&after, &expected, false, columns, &when);
            let mut end = rig.run_on(pipeline.clone(), after.clone(), false);
            if end.is_err() {
                after = after.power_on(&mut random, None);
                check(&after, &expected, false, columns, &when);
                end = rig.run_on(pipeline.clone(), after.clone(), false);
            }
            end.unwrap_or_else(|error| panic!("{}: {error}", when()));
            check(&after, &expected, true, columns, &when);
        }
    }
}

#[test]
fn clause_19_a_loss_of_power_at_any_call_loses_and_repeats_nothing_of_files_that_roll() {
    let seed = crate::seed();
    println!("TIDEMILL_SEED={seed}");
    cut_off_everywhere(&Rig::new(crate::RECORDS), "", seed, 5);
}

#[test]
fn clause_19_nor_does_one_of_a_parquet_file_which_is_made_again_from_its_rows() {
    let seed = crate::seed();
    println!("TIDEMILL_SEED={seed}");
    let columns = format!(
        "[[sink]]\ntype = 'parquet'\npath = '{OUT}/{{epoch}}.parquet'\nrow_group = 10\nroll = {{ every = '1d' }}\n"
    );
    cut_off_everywhere(&Rig::new(crate::RECORDS / 2), &columns, seed, 3);
}
