//! Neighbouring registers in one request.

use crate::register::{Kind, Register};

/// How much a request may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Addresses between two registers that are read although nobody asked for them.
    pub(crate) gap: u16,
    /// Registers at most.
    pub(crate) registers: u16,
    /// Coils or discrete inputs at most.
    pub(crate) bits: u16,
}

impl Limits {
    fn of(&self, kind: Kind) -> u32 {
        if kind.is_bits() { self.bits.into() } else { self.registers.into() }
    }
}

/// Addresses of one table that are read at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    pub(crate) start: u16,
    pub(crate) count: u16,
    /// The registers in it, by their places in the map, in the order of their addresses.
    pub(crate) members: Vec<usize>,
}

impl Request {
    /// The smallest request for all of `members`, which are of one table and in the order of their addresses; `None` without members.
    fn of(map: &[Register], members: &[usize]) -> Option<Self> {
        let first = &map[*members.first()?];
        let end = members.iter().map(|&at| map[at].span().1).max()?;
        let count = (end - first.span().0) as u16;
        Some(Self { kind: first.kind, start: first.address, count, members: members.to_vec() })
    }

    /// Two requests for about half of the registers each; `None` if all of them have the same address.
    pub(crate) fn halves(&self, map: &[Register]) -> Option<[Self; 2]> {
        let addresses: Vec<u16> = self.members.iter().map(|&at| map[at].address).collect();
        let middle = addresses[addresses.len() / 2];
        // Registers with the same address stay together: they are refused together.
        let before = addresses.partition_point(|&address| address < middle);
        let at = if before > 0 { before } else { addresses.partition_point(|&address| address <= middle) };
        let (one, other) = self.members.split_at(at);
        Some([Self::of(map, one)?, Self::of(map, other)?])
    }

    /// The words of a register in the answer to this request.
    pub(crate) fn words<'w>(&self, register: &Register, words: &'w [u16]) -> &'w [u16] {
        let at = usize::from(register.address - self.start);
        &words[at..at + usize::from(register.ty.width())]
    }
}

/// The requests that read the registers of `map` at these places: as few as the limits allow, in the order of tables and addresses.
pub(crate) fn requests(map: &[Register], places: &[usize], limits: &Limits) -> Vec<Request> {
    let mut places = places.to_vec();
    places.sort_by_key(|&at| (map[at].kind, map[at].span()));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let (mut start, mut end) = (0, 0);
    for at in places {
        let (first, behind) = map[at].span();
        match groups.last_mut() {
            Some(group)
                if map[group[0]].kind == map[at].kind
                    && first <= end + u32::from(limits.gap)
                    && behind.max(end) - start <= limits.of(map[at].kind) =>
            {
                group.push(at);
                end = end.max(behind);
            }
            _ => {
                groups.push(vec![at]);
                (start, end) = (first, behind);
            }
        }
    }
    groups.iter().filter_map(|group| Request::of(map, group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::ValueType;
    use crate::testing::register;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { gap: 0, registers: 125, bits: 2000 };

    fn spans(map: &[Register], limits: &Limits) -> Vec<(Kind, u16, u16)> {
        let all: Vec<usize> = (0..map.len()).collect();
        requests(map, &all, limits)
            .iter()
            .map(|request| (request.kind, request.start, request.count))
            .collect()
    }

    #[test]
    fn neighbours_are_read_at_once_and_gaps_only_if_that_is_allowed() {
        let map = [
            register(Kind::Holding, 10, ValueType::F32),
            register(Kind::Input, 12, ValueType::U16),
            register(Kind::Holding, 12, ValueType::U16),
            register(Kind::Holding, 15, ValueType::U64),
            register(Kind::Coil, 3, ValueType::Bool),
        ];
        let apart =
            [(Kind::Holding, 10, 3), (Kind::Holding, 15, 4), (Kind::Input, 12, 1), (Kind::Coil, 3, 1)];
        assert_eq!(spans(&map, &LIMITS), apart);
        assert_eq!(spans(&map, &Limits { gap: 1, ..LIMITS }), apart);
        let joined = [(Kind::Holding, 10, 9), (Kind::Input, 12, 1), (Kind::Coil, 3, 1)];
        assert_eq!(spans(&map, &Limits { gap: 2, ..LIMITS }), joined);
    }

    #[test]
    fn a_register_at_the_limit_begins_the_next_request() {
        let map: Vec<_> = (0..63).map(|at| register(Kind::Holding, 2 * at, ValueType::F32)).collect();
        assert_eq!(spans(&map, &LIMITS), [(Kind::Holding, 0, 124), (Kind::Holding, 124, 2)]);
        let last =
            [register(Kind::Input, 65_532, ValueType::U64), register(Kind::Input, 65_535, ValueType::U16)];
        assert_eq!(spans(&last, &LIMITS), [(Kind::Input, 65_532, 4)], "they overlap");
    }

    #[test]
    fn halves_end_with_single_addresses() {
        let same = [register(Kind::Holding, 7, ValueType::U16), register(Kind::Holding, 7, ValueType::Bool)];
        let whole = &requests(&same, &[0, 1], &LIMITS)[0];
        assert_eq!(whole.halves(&same), None, "both are refused together");
        let map = [
            register(Kind::Holding, 7, ValueType::U16),
            register(Kind::Holding, 7, ValueType::I16),
            register(Kind::Holding, 8, ValueType::U32),
        ];
        let whole = &requests(&map, &[0, 1, 2], &LIMITS)[0];
        let [one, other] = whole.halves(&map).expect("two addresses");
        assert_eq!((one.start, one.count, one.members), (7, 1, vec![0, 1]));
        assert_eq!((other.start, other.count, other.members), (8, 2, vec![2]));
    }

    fn any_register() -> impl Strategy<Value = Register> {
        let kinds = [Kind::Holding, Kind::Input, Kind::Coil, Kind::Discrete];
        let types = [ValueType::U16, ValueType::F32, ValueType::U64];
        // Crowded at both ends of the addresses.
        let address = prop_oneof![0..400_u16, 65_300..65_533_u16];
        (0..4_usize, 0..3_usize, address).prop_map(move |(kind, ty, address)| {
            let ty = if kinds[kind].is_bits() { ValueType::Bool } else { types[ty] };
            register(kinds[kind], address, ty)
        })
    }

    proptest! {
        #[test]
        fn each_register_is_in_one_request_and_no_request_is_too_long(
            map in prop::collection::vec(any_register(), 0..120),
            gap in 0..40_u16, registers in 4..=125_u16, bits in 1..=2000_u16,
        ) {
            let limits = Limits { gap, registers, bits };
            let all: Vec<usize> = (0..map.len()).collect();
            let mut seen = vec![0; map.len()];
            let mut queue = requests(&map, &all, &limits);
            // The halves too, down to single addresses.
            let whole = queue.len();
            let mut at = 0;
            while at < queue.len() {
                let request = queue[at].clone();
                prop_assert!(request.count > 0 && u32::from(request.count) <= limits.of(request.kind));
                let end = u32::from(request.start) + u32::from(request.count);
                prop_assert!(end <= 65_536);
                for &member in &request.members {
                    let (first, behind) = map[member].span();
                    prop_assert!(map[member].kind == request.kind && u32::from(request.start) <= first && behind <= end);
                    let words: Vec<u16> = (0..request.count).map(|at| request.start + at).collect();
                    prop_assert_eq!(request.words(&map[member], &words)[0], map[member].address);
                    seen[member] += u32::from(at < whole);
                }
                if let Some([one, other]) = request.halves(&map) {
                    prop_assert_eq!([one.members.clone(), other.members.clone()].concat(), request.members);
                    queue.extend([one, other]);
                }
                at += 1;
            }
            prop_assert!(seen.iter().all(|&times| times == 1), "{:?}", seen);
        }

        #[test]
        fn no_address_is_read_that_nobody_asked_for(map in prop::collection::vec(any_register(), 1..60)) {
            let all: Vec<usize> = (0..map.len()).collect();
            for request in requests(&map, &all, &LIMITS) {
                for address in request.start..=request.start + (request.count - 1) {
                    let address = u32::from(address);
                    let is_in = |at: &usize| (map[*at].span().0..map[*at].span().1).contains(&address);
                    prop_assert!(request.members.iter().any(is_in), "{:?}", request);
                }
            }
        }
    }
}
