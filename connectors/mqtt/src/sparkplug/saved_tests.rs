//! Nodes in checkpoints, and messages that are sent again behind them.

use proptest::prelude::*;

use super::tests::{Content, DOUBLE, Host, bd_seq, host, named, numbered};
use super::*;

/// A host that continues with what a checkpoint of `before` has.
fn resumed(before: &Host) -> Host {
    let mut host = Host { timestamp: before.timestamp, ..Host::default() };
    host.sparkplug.restore(&before.sparkplug.save()).expect("saved nodes");
    host
}

#[test]
fn a_restart_continues_behind_the_births() {
    let mut host = resumed(&host());
    host.send("spBv1.0/g/NDATA/n", 2, vec![numbered(1, Content::Int((-3_i32) as u32))]);
    host.send("spBv1.0/g/DDATA/n/d", 3, vec![numbered(2, Content::Double(21.0))]);
    assert_eq!(host.lines(), ["g/n/up I64(-3) good", "g/n/d/t F64(21.0) good"]);
    assert!(host.asked.is_empty());
    // A death of an earlier connection, then its own.
    host.send("spBv1.0/g/NDEATH/n", None, vec![bd_seq(3)]);
    assert_eq!(host.lines(), Vec::<String>::new());
    host.send("spBv1.0/g/NDEATH/n", None, vec![bd_seq(4)]);
    assert_eq!(host.lines(), ["g/n/up  stale", "g/n/d/mode  stale", "g/n/d/t  stale"]);
    assert_eq!(host.sparkplug.counts, Counts { deaths: 1, ..Counts::default() });
}

#[test]
fn a_message_that_was_missed_while_the_run_was_down_is_noticed() {
    let mut host = resumed(&host());
    host.send("spBv1.0/g/NDATA/n", 5, vec![]);
    assert_eq!(host.asked, ["spBv1.0/g/NCMD/n"]);
    assert_eq!(host.sparkplug.counts.gaps, 1);
}

#[test]
fn the_dead_are_not_saved() {
    let mut before = host();
    before.send("spBv1.0/g/DDEATH/n/d", 2, vec![]);
    let mut after = resumed(&before);
    after.send("spBv1.0/g/DDATA/n/d", 3, vec![numbered(2, Content::Double(21.0))]);
    assert_eq!(after.lines(), ["! alias 2 was named by no birth certificate"]);
    before.send("spBv1.0/g/NDEATH/n", None, vec![bd_seq(4)]);
    assert_eq!(before.sparkplug.save(), Vec::<u8>::new());
}

#[test]
fn messages_that_are_sent_again_are_no_gap() {
    let mut before = host();
    for seq in 2..10 {
        before.send("spBv1.0/g/NDATA/n", seq, vec![]);
    }
    let mut host = resumed(&before);
    host.is_repeated = true;
    for seq in 5..10 {
        host.send("spBv1.0/g/NDATA/n", seq, vec![numbered(1, Content::Int(1))]);
    }
    host.is_repeated = false;
    host.send("spBv1.0/g/NDATA/n", 10, vec![]);
    assert_eq!(host.sparkplug.counts, Counts::default());
    assert_eq!(host.lines(), ["g/n/up I64(1) good"; 5]);
}

#[test]
fn aliases_of_an_earlier_birth_are_not_taken_for_those_of_a_later_one() {
    let mut before = host();
    before.timestamp += 10;
    before.send(
        "spBv1.0/g/NBIRTH/n",
        0,
        vec![bd_seq(5), named("other", Some(1), DOUBLE, Content::Double(1.0))],
    );
    let mut host = resumed(&before);
    (host.timestamp, host.is_repeated) = (before.timestamp - 5, true);
    host.send("spBv1.0/g/NDATA/n", 7, vec![numbered(1, Content::Int(1))]);
    assert_eq!(
        host.lines(),
        ["! alias 1 is one of an earlier birth certificate, and its message was read before"]
    );
    host.timestamp = before.timestamp + 5;
    host.send("spBv1.0/g/NDATA/n", 1, vec![numbered(1, Content::Double(2.0))]);
    assert_eq!(host.lines(), ["g/n/other F64(2.0) good"]);
    assert!(host.asked.is_empty());
}

#[test]
fn nodes_without_room_are_left_out_and_counted() {
    let mut host = Host::default();
    for node in 0..10 {
        let metrics =
            (0..100).map(|at| named(&format!("metric {at}"), Some(at), DOUBLE, Content::Double(1.0)));
        host.send(&format!("spBv1.0/g/NBIRTH/n{node}"), 0, metrics.collect());
    }
    let all = Saved::of(&host.sparkplug.nodes, MAX_SAVED);
    assert_eq!(all.left_out, 0);
    for room in [0, 100, all.bytes.len() / 2, all.bytes.len() - 1] {
        let saved = Saved::of(&host.sparkplug.nodes, room);
        let kept = saved::restore(&saved.bytes).expect("saved nodes").alive().count() as u64;
        assert!(saved.bytes.len() <= room && kept + saved.left_out == 10, "{room}: {kept}");
    }
    assert_eq!(Saved::of(&host.sparkplug.nodes, all.bytes.len()), all);
}

#[test]
fn what_is_no_saved_node_is_refused() {
    let mut saved = host().sparkplug.save();
    saved.pop();
    let error = Sparkplug::default().restore(&saved).expect_err("an unfinished node");
    assert!(error.to_string().contains("saved nodes of Sparkplug"), "{error}");
}

proptest! {
    #[test]
    fn what_is_restored_is_what_was_saved(
        births in proptest::collection::vec(
            (0..3_u8, 0..3_u8, proptest::collection::vec(("[a-z/é]{1,8}", proptest::option::of(0..9_u64), 0..20_u32), 0..6)),
            0..12,
        ),
    ) {
        let mut before = Host::default();
        for (node, device, metrics) in births {
            let metrics = metrics.into_iter().map(|(name, alias, datatype)| named(&name, alias, datatype, Content::Int(1)));
            let topic = match device {
                0 => format!("spBv1.0/g/NBIRTH/n{node}"),
                _ => format!("spBv1.0/g/DBIRTH/n{node}/d{device}"),
            };
            before.send(&topic, 0, metrics.collect());
        }
        let after = resumed(&before);
        let known = |host: &Host| {
            let nodes = host.sparkplug.nodes.alive().map(|(name, node)| format!("{name} {:?} {:?}", node.seq, node.devices));
            let mut nodes: Vec<_> = nodes.collect();
            nodes.sort();
            nodes
        };
        prop_assert_eq!(known(&before), known(&after));
    }

    #[test]
    fn no_saved_bytes_are_harmful(bytes in any::<Vec<u8>>()) {
        drop(Sparkplug::default().restore(&bytes));
    }
}
