//! Events at an address, counted for the summary.

/// Counts of events.
#[derive(Clone, Copy, Default)]
pub(super) struct SocketCounts {
    pub(super) connections: u64,
    pub(super) lost: u64,
    pub(super) crowded_out: u64,
    pub(super) cut_off: u64,
    pub(super) refused: u64,
    pub(super) other_columns: u64,
    pub(super) failed_tries: u64,
    /// Datagrams that did not fit into the receive buffer.
    pub(super) dropped: u64,
}

impl SocketCounts {
    /// All events as text; `None` if there were none.
    pub(super) fn told(&self) -> Option<String> {
        let &Self { connections, lost, crowded_out, cut_off, refused, other_columns, failed_tries, dropped } =
            self;
        let all = [
            (connections, "connections"),
            (failed_tries, "failed attempts to connect"),
            (lost, "broken off"),
            (crowded_out, "idle connections closed to make room"),
            (cut_off, "ended in the middle of a record"),
            (refused, "records too long or incomplete"),
            (other_columns, "closed because of a header with other columns"),
            (dropped, "datagrams dropped by the system because they arrived faster than they were read"),
        ];
        let shown: Vec<_> = all
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        (!shown.is_empty()).then(|| shown.join(", "))
    }
}
