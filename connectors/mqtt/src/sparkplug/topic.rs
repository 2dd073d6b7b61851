//! Topics of Sparkplug B: `spBv1.0/group/kind/node` and `spBv1.0/group/kind/node/device`.

/// The first level of all topics.
const NAMESPACE: &str = "spBv1.0";

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Birth,
    Death,
    Data,
}

/// A topic of an edge node or of a device at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Topic<'a> {
    pub(super) kind: Kind,
    pub(super) group: &'a str,
    pub(super) node: &'a str,
    pub(super) device: Option<&'a str>,
}

/// What a topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    Topic(Topic<'a>),
    /// Commands, and states of host applications.
    Ignored,
    /// Not a topic of Sparkplug B.
    Other,
}

impl<'a> Topic<'a> {
    pub(super) fn parse(topic: &'a str) -> Parsed<'a> {
        let mut levels = topic.split('/');
        if levels.next() != Some(NAMESPACE) {
            return Parsed::Other;
        }
        let (group, kind, node, device) = (levels.next(), levels.next(), levels.next(), levels.next());
        if group == Some("STATE") || matches!(kind, Some("NCMD" | "DCMD")) {
            return Parsed::Ignored;
        }
        let (Some(group), Some(kind), Some(node), None) = (group, kind, node, levels.next()) else {
            return Parsed::Other;
        };
        let kind = match (kind, device) {
            ("NBIRTH", None) | ("DBIRTH", Some(_)) => Kind::Birth,
            ("NDEATH", None) | ("DDEATH", Some(_)) => Kind::Death,
            ("NDATA", None) | ("DDATA", Some(_)) => Kind::Data,
            _ => return Parsed::Other,
        };
        Parsed::Topic(Self { kind, group, node, device })
    }

    /// The name of a metric's sensor.
    pub(super) fn sensor(&self, metric: &str) -> String {
        let Self { group, node, device, .. } = self;
        match device {
            None => format!("{group}/{node}/{metric}"),
            Some(device) => format!("{group}/{node}/{device}/{metric}"),
        }
    }

    /// The topic of commands for the node.
    pub(super) fn command(&self) -> String {
        format!("{NAMESPACE}/{}/NCMD/{}", self.group, self.node)
    }
}
