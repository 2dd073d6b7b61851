//! What happened at an address, for the summary.

/// How often what happened.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) connections: u64,
    pub(super) lost: u64,
    pub(super) crowded_out: u64,
    pub(super) cut_off: u64,
    pub(super) refused: u64,
    pub(super) other_columns: u64,
    pub(super) failed_tries: u64,
    /// Datagrams for which the system had no room.
    pub(super) dropped: u64,
}

impl Counts {
    /// All that happened, in words; `None` if nothing did.
    pub(super) fn told(&self) -> Option<String> {
        let &Self { connections, lost, crowded_out, cut_off, refused, other_columns, failed_tries, dropped } =
            self;
        let all = [
            (connections, "connections"),
            (failed_tries, "tries to connect failed"),
            (lost, "broken off"),
            (crowded_out, "silent ones closed to make room"),
            (cut_off, "ended in the middle of a record"),
            (refused, "records too long or never ended"),
            (other_columns, "closed for a header with other columns"),
            (dropped, "datagrams dropped by the system because they came faster than they were read"),
        ];
        let shown: Vec<_> = all
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        (!shown.is_empty()).then(|| shown.join(", "))
    }
}
