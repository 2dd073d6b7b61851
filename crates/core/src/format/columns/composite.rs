//! Texts composed of several fields: a time from date and time of day, a sensor name from model and number.

/// How the fields of a record are composed into one text.
#[derive(Clone, Debug, PartialEq)]
pub struct Composite {
    /// The columns, in order.
    names: Vec<String>,
    /// The literal text before each column.
    before: Vec<String>,
    /// The literal text after the last column.
    after: String,
}

impl Composite {
    /// These columns, separated by a space.
    pub(super) fn joined(names: &[String]) -> Self {
        let before = (0..names.len()).map(|at| if at == 0 { String::new() } else { " ".into() });
        Self { names: names.to_vec(), before: before.collect(), after: String::new() }
    }

    /// Parses a template such as "{model}-{id}"; `None` for a text without braces, which is a column name.
    ///
    /// # Errors
    /// Why it is not a valid template.
    pub(super) fn template(text: &str) -> Result<Option<Self>, String> {
        let (mut names, mut before) = (Vec::new(), Vec::new());
        let mut rest = text;
        while let Some((literal, more)) = rest.split_once('{') {
            let (name, behind) = more.split_once('}').ok_or("a `{` is not closed")?;
            if name.is_empty() {
                return Err("there is no column name between the braces".into());
            }
            before.push(literal.to_owned());
            names.push(name.to_owned());
            rest = behind;
        }
        let is_template = !names.is_empty();
        Ok(is_template.then(|| Self { names, before, after: rest.to_owned() }))
    }

    /// The columns, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The index of the part that the column `name` provides.
    pub(super) fn part(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Appends the composed text of the fields `parts`, given in the order of the columns.
    pub fn write<'t>(&self, parts: impl IntoIterator<Item = &'t [u8]>, out: &mut Vec<u8>) {
        for (before, part) in self.before.iter().zip(parts) {
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(self.after.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(composite: &Composite, parts: &[&str]) -> String {
        let mut out = Vec::new();
        composite.write(parts.iter().map(|part| part.as_bytes()), &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn clause_1_parts_stand_where_the_template_says() {
        let template = Composite::template("hall 1/{model}-{id}!").expect("good").expect("a template");
        assert_eq!(template.names(), ["model", "id"]);
        assert_eq!(written(&template, &["PT", "7"]), "hall 1/PT-7!");
        let joined = Composite::joined(&["Date".into(), "Time".into()]);
        assert_eq!(written(&joined, &["2026-01-01", "10:00"]), "2026-01-01 10:00");
    }

    #[test]
    fn a_text_without_braces_is_a_name_and_broken_ones_are_neither() {
        assert_eq!(Composite::template("tag}"), Ok(None));
        assert_eq!(Composite::template("{model"), Err("a `{` is not closed".into()));
        assert!(Composite::template("x{}").is_err());
    }
}
