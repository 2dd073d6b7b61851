//! What the fuzzer does, without it: the seeds, and what chance makes of them, against what judges them. So the targets are compiled and
//! mean what they say; the fuzzer, which needs another compiler, goes further (`cargo xtask fuzz`).

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a crate of its own for the fuzzer")]
mod targets;

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

/// The seeds of a target by name.
fn seeds(target: &str) -> BTreeMap<String, Vec<u8>> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fuzz/seeds", target].iter().collect();
    let paths = std::fs::read_dir(folder).expect("seeds").map(|seed| seed.expect("a seed").path());
    paths.map(|path| (path.display().to_string(), std::fs::read(path).expect("a seed"))).collect()
}

/// A seed with some of its bytes changed, the first ones, which choose, more than others; and lines left out.
fn mutated(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let change = |within: usize| (0..within, any::<u8>());
    let changes = (
        proptest::collection::vec(change(12), 0..5),
        proptest::collection::vec(change(400), 0..3),
        any::<prop::sample::Index>(),
    );
    (proptest::sample::select(seeds(target).into_values().collect::<Vec<_>>()), changes).prop_map(
        |(mut seed, (choices, text, end))| {
            for (at, byte) in choices.into_iter().chain(text) {
                if let Some(place) = seed.get_mut(at) {
                    *place = byte;
                }
            }
            let least = seed.len() / 2;
            seed.truncate(least + end.index(seed.len() - least));
            seed
        },
    )
}

#[test]
fn the_seeds_give_what_judges_them_gives() {
    // A seed whose options exclude one another would show nothing.
    seeds("decode").iter().for_each(|(name, seed)| assert!(targets::decode::check(seed) > 0, "{name}"));
    seeds("run").iter().for_each(|(name, seed)| assert!(targets::run::check(seed), "{name}"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_dialect_is_read_alike_by_all_decoders(input in mutated("decode")) {
        targets::decode::check(&input);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pipeline_gives_the_same_in_all_ways(input in mutated("run")) {
        targets::run::check(&input);
    }
}
