//! Caches against the table.

use super::*;
use proptest::prelude::*;

/// The names for `numbers`, concatenated, and the range of each.
fn text_of(numbers: impl Iterator<Item = usize>) -> (String, Vec<(u32, u32)>) {
    let (mut text, mut places) = (String::new(), Vec::new());
    for number in numbers {
        let start = text.len();
        // Some exceed the length of short names.
        text += &if number % 50 == 7 { format!("sensor-in-hall-{number}") } else { format!("s{number}") };
        places.push((start as u32, (text.len() - start) as u32));
    }
    (text, places)
}

#[test]
fn names_are_found_in_any_order() {
    let count = FAR + 1000;
    let mut worker = SensorIds::new(Arc::default());
    let (text, places) = text_of(0..count);
    for &(start, len) in &places {
        worker.id(&text[start as usize..][..len as usize]).expect("room");
    }
    let in_turn = (0..count).chain(0..count).collect::<Vec<_>>();
    let with_gaps = (0..count).filter(|number| number % 100 > 3).collect();
    let jumping = (0..count).map(|number| number * 1013 % count).collect();
    let backwards = (0..count).rev().collect();
    let with_strangers =
        (0..count).map(|number| if number % 9 == 0 { number + count } else { number }).collect();
    for numbers in [in_turn, with_gaps, jumping, backwards, with_strangers] {
        let (text, places) = text_of(numbers.iter().copied());
        let mut found = Vec::new();
        worker.known_ids(text.as_bytes(), &places, &mut found);
        let expected = numbers.iter().map(|&number| match number {
            known if known < count => SensorId(known as u32),
            _ => SensorId::UNKNOWN,
        });
        assert!(found.into_iter().eq(expected));
    }
}

proptest! {
    #[test]
    fn what_is_remembered_is_what_the_table_says(names in proptest::collection::vec("[ab\0é]{0,5}|[a-d]{14,18}", 1..200)) {
        let shared = Arc::new(SharedSensors::with_limit(1000));
        let mut workers = [SensorIds::new(Arc::clone(&shared)), SensorIds::new(Arc::clone(&shared))];
        let text = names.concat();
        let mut start = 0;
        for (at, name) in names.iter().enumerate() {
            let id = workers[at % 2].id(name).expect("room");
            prop_assert!(shared.read().name(id) == name);
            let mut known = Vec::new();
            workers[at % 2].known_ids(text.as_bytes(), &[(start, name.len() as u32)], &mut known);
            prop_assert!(known == [id] || name.is_empty());
            start += name.len() as u32;
        }
    }
}

#[test]
fn a_worker_remembers_many_names_and_looks_up_the_rest() {
    let shared = Arc::new(SharedSensors::with_limit(REMEMBERED + 100));
    let mut ids = SensorIds::new(Arc::clone(&shared));
    for _ in 0..2 {
        for at in 0..REMEMBERED + 50 {
            assert_eq!(ids.id(&format!("s{at}")).expect("room").index(), at);
        }
    }
    assert_eq!(shared.read().len(), REMEMBERED + 50);
}
