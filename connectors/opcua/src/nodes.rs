//! The nodes of a source, and what is known of them before their first value.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use opcua::client::Session;
use opcua::types::{
    AttributeId, DataValue, EUInformation, NodeClass, NodeId, Range, ReadValueId, ReferenceTypeId,
    StatusCode, TimestampsToReturn, Variant,
};
use tidemill_engine::error::{Error, Result};

use crate::browse::matched;
use crate::failure::{all_of, failed, words};
use crate::pattern::{Pattern, text_of};
use crate::references::{BATCH, Browser};

/// The level that is the sensor.
pub(crate) const SENSOR: &str = "sensor";

/// A variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// Its id as text.
    pub(crate) written: String,
    /// The path that was found, or the id.
    pub(crate) path: String,
    /// Its browse name.
    pub(crate) name: String,
    pub(crate) sensor: String,
    /// The texts of named levels.
    pub(crate) levels: Vec<(String, String)>,
    pub(crate) unit: Option<String>,
    pub(crate) low: Option<String>,
    pub(crate) high: Option<String>,
}

/// The variables that a server has.
pub(crate) struct Nodes {
    pub(crate) all: Vec<Node>,
    /// How many nodes on the way to others, or to units and ranges, the server does not show to this client.
    pub(crate) hidden: u64,
}

/// What the option `nodes` names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    Id(NodeId),
    Path(Pattern),
}

impl Target {
    /// Reads node ids and paths.
    ///
    /// # Errors
    /// A configuration error that repeats what cannot be read.
    pub(crate) fn all(written: &[String]) -> Result<Vec<Self>> {
        if written.is_empty() {
            return Err(Error::config("`nodes` has no node"));
        }
        let all = written.iter().map(|text| match is_id(text) {
            false => Pattern::new(text).map(Self::Path),
            true => NodeId::from_str(text).map(Self::Id).map_err(|_| {
                Error::config(format!("`nodes` {text:?}: it is no node id"))
                    .with_help("such as \"ns=2;s=Line1.Temp\" or \"ns=2;i=1001\"")
            }),
        });
        all.collect()
    }

    /// The names of levels, each once, but for the sensor.
    pub(crate) fn names(all: &[Self]) -> Vec<String> {
        let mut names = Vec::<String>::new();
        let paths = all.iter().filter_map(|target| match target {
            Self::Path(pattern) => Some(pattern),
            Self::Id(_) => None,
        });
        for name in paths.flat_map(Pattern::names).filter(|name| *name != SENSOR) {
            if !names.iter().any(|own| own == name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

/// Whether a text is meant as a node id.
fn is_id(text: &str) -> bool {
    let identifier =
        text.strip_prefix("ns=").and_then(|rest| rest.split_once(';')).map_or(text, |(_, rest)| rest);
    text.starts_with("ns=") || ["i=", "s=", "g=", "b="].iter().any(|kind| identifier.starts_with(kind))
}

/// The variables that are meant, each once, with what is known of them.
///
/// # Errors
/// If a node does not exist or is none, a path matches nothing, or two nodes have the same path.
pub(crate) async fn find(session: &Session, url: &str, targets: &[Target]) -> Result<Nodes> {
    let ids: Vec<_> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Id(id) => Some(id.clone()),
            Target::Path(_) => None,
        })
        .collect();
    let mut named = named(session, url, &ids).await?.into_iter();
    let (mut all, mut browser) = (Vec::new(), Browser::new(session, url));
    for target in targets {
        match target {
            Target::Id(_) => all.extend(named.next()),
            Target::Path(pattern) => all.extend(of_pattern(&mut browser, pattern).await?),
        }
    }
    let mut seen = HashSet::new();
    all.retain(|node| seen.insert(node.id.clone()));
    check_paths(url, &all)?;
    describe(session, &mut browser, &mut all).await?;
    Ok(Nodes { all, hidden: browser.hidden() })
}

/// A remark about nodes that the server does not show.
pub(crate) fn remark(hidden: u64) -> Option<String> {
    let text = format!(
        "{hidden} nodes do not show what they refer to (no access, or gone): what is below them is missing, if there is anything"
    );
    (hidden > 0).then_some(text)
}

async fn of_pattern(browser: &mut Browser<'_, Session>, pattern: &Pattern) -> Result<Vec<Node>> {
    let found = matched(browser, pattern).await?;
    if found.is_empty() {
        let why = remark(browser.hidden()).map(|hidden| format!("; {hidden}")).unwrap_or_default();
        let (url, written) = (browser.url, &pattern.written);
        return Err(Error::unavailable(format!("{url}: `nodes` {written:?} matches no variable{why}"))
            .transient()
            .with_help("compare the path with the browse names of the server; wildcards leave out properties and the object Server"));
    }
    let node = |found: crate::browse::Found| {
        let path = text_of(&found.path);
        let levels = pattern.names().map(str::to_owned).zip(pattern.texts(&found.path)).collect::<Vec<_>>();
        let sensor = levels.iter().find(|(name, _)| name == SENSOR).map(|(_, text)| text.clone());
        Node {
            written: found.id.to_string(),
            id: found.id,
            name: found.path.last().map(|step| step.name.clone()).unwrap_or_default(),
            sensor: sensor.unwrap_or_else(|| path.strip_prefix("Objects/").unwrap_or(&path).to_owned()),
            path,
            levels,
            ..Node::default()
        }
    };
    Ok(found.into_iter().map(node).collect())
}

/// Two nodes of the same path would be one sensor.
fn check_paths(url: &str, all: &[Node]) -> Result<()> {
    let mut by_path = HashMap::new();
    for node in all {
        if let Some(other) = by_path.insert(&node.path, node) {
            return Err(Error::config(format!(
                "{url}: the nodes {} and {} have the same path {}",
                other.written, node.written, node.path
            ))
            .with_help(
                "name them by their ids, or give the namespace of a level, as in \"Objects/2:Plant\"",
            ));
        }
    }
    Ok(())
}

/// The variables with these ids.
async fn named(session: &Session, url: &str, ids: &[NodeId]) -> Result<Vec<Node>> {
    let attribute =
        |attribute| ids.iter().map(move |id| ReadValueId::new(id.clone(), attribute)).collect::<Vec<_>>();
    let classes = read(session, url, &attribute(AttributeId::NodeClass)).await?;
    let names = read(session, url, &attribute(AttributeId::BrowseName)).await?;
    let node = |((id, class), name): ((&NodeId, DataValue), DataValue)| {
        let refused = |why: String| {
            Error::unavailable(format!("{url}: the node {id}: {why}"))
                .transient()
                .with_help("check `nodes`; the index of a namespace (ns=) may differ from server to server")
        };
        let status = class.status.unwrap_or(StatusCode::Good);
        if status.is_bad() {
            return Err(refused(words(status)));
        }
        if class.value != Some(Variant::Int32(NodeClass::Variable as i32)) {
            return Err(refused("it is not a variable, and has no value".into()));
        }
        let name = match name.value {
            Some(Variant::QualifiedName(name)) => name.name.as_ref().to_owned(),
            _ => String::new(),
        };
        let written = id.to_string();
        Ok(Node {
            id: id.clone(),
            path: written.clone(),
            sensor: written.clone(),
            written,
            name,
            ..Node::default()
        })
    };
    ids.iter().zip(classes).zip(names).map(node).collect()
}

/// Reads units and ranges, where nodes have them.
async fn describe(session: &Session, browser: &mut Browser<'_, Session>, all: &mut [Node]) -> Result<()> {
    for nodes in all.chunks_mut(BATCH) {
        let ids: Vec<_> = nodes.iter().map(|node| node.id.clone()).collect();
        let properties = browser.children(&ids, ReferenceTypeId::HasProperty).await?;
        let wanted = properties.into_iter().enumerate().flat_map(|(at, properties)| {
            let is_wanted = |name: &str| matches!(name, "EngineeringUnits" | "EURange");
            properties
                .into_iter()
                .filter(move |property| is_wanted(property.browse_name.name.as_ref()))
                .map(move |property| (at, property.node_id.node_id))
        });
        let (places, ids): (Vec<_>, Vec<_>) = wanted.unzip();
        let reads: Vec<_> = ids.into_iter().map(ReadValueId::from).collect();
        for (at, value) in places.into_iter().zip(read(session, browser.url, &reads).await?) {
            nodes[at].learn(&value);
        }
    }
    Ok(())
}

impl Node {
    /// Takes over a property.
    fn learn(&mut self, property: &DataValue) {
        let Some(Variant::ExtensionObject(object)) = &property.value else { return };
        if let Some(range) = object.inner_as::<Range>() {
            (self.low, self.high) = (Some(range.low.to_string()), Some(range.high.to_string()));
        }
        if let Some(unit) = object.inner_as::<EUInformation>() {
            let texts = [&unit.display_name.text, &unit.description.text];
            self.unit = texts.into_iter().map(|text| text.as_ref().to_owned()).find(|text| !text.is_empty());
        }
    }

    /// The text of the level with this name.
    pub(crate) fn level(&self, name: &str) -> Option<&str> {
        self.levels.iter().find(|(own, _)| own == name).map(|(_, text)| text.as_str())
    }
}

/// Reads attributes, in batches.
async fn read(session: &Session, url: &str, all: &[ReadValueId]) -> Result<Vec<DataValue>> {
    let mut values = Vec::new();
    for batch in all.chunks(BATCH) {
        let read = session.read(batch, TimestampsToReturn::Neither, 0.0).await;
        let read = read.map_err(|error| failed(url, "cannot read", &error))?;
        values.extend(all_of(url, "cannot read", read, batch.len())?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use opcua::types::{ExtensionObject, LocalizedText};

    use super::*;

    fn targets(written: &[&str]) -> Result<Vec<Target>> {
        Target::all(&written.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn ids_and_paths_are_told_apart() {
        let all =
            targets(&["ns=2;s=Line1.Temp", "i=2258", "s=a/b", "Objects/{line}/*/{sensor}", "Objects/{line}"])
                .expect("targets");
        assert_eq!(all[0], Target::Id(NodeId::new(2, "Line1.Temp")));
        assert_eq!(all[2], Target::Id(NodeId::new(0, "a/b")));
        assert!(matches!(all[3], Target::Path(_)));
        assert_eq!(Target::names(&all), ["line"]);
        for wrong in ["ns=2;x=1", "ns=70000;i=1", "i=x", "Plant"] {
            assert!(targets(&[wrong]).expect_err(wrong).message().contains("`nodes`"));
        }
        assert!(targets(&[]).is_err());
    }

    #[test]
    fn units_and_ranges_are_learnt_and_other_properties_are_not() {
        let mut node = Node::default();
        let property = |object: ExtensionObject| DataValue::value_only(Variant::ExtensionObject(object));
        node.learn(&property(ExtensionObject::from_message(Range { low: -5.0, high: 20.5 })));
        let unit = EUInformation { display_name: LocalizedText::new("", "°C"), ..EUInformation::default() };
        node.learn(&property(ExtensionObject::from_message(unit)));
        node.learn(&DataValue::value_only(Variant::Double(1.0)));
        node.learn(&property(ExtensionObject::null()));
        let texts = (node.low.as_deref(), node.high.as_deref(), node.unit.as_deref());
        assert_eq!(texts, (Some("-5"), Some("20.5"), Some("°C")));
    }

    #[test]
    fn two_nodes_of_one_path_are_refused() {
        let node =
            |written: &str| Node { written: written.into(), path: "Objects/a".into(), ..Node::default() };
        assert!(check_paths("url", &[node("i=1")]).is_ok());
        let error = check_paths("url", &[node("i=1"), node("i=2")]).expect_err("refused").to_string();
        assert!(error.contains("i=1 and i=2"), "{error}");
    }
}
