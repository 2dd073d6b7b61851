//! The types of columns that the binary format is known of.

use tidemill_engine::batch::{Field, FieldRole, FieldType};

/// A type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Json,
    Jsonb,
    Timestamptz,
    Timestamp,
    Date,
}

/// All of them with object identifier and name; the place in this list is how blocks of rows refer to them.
const KINDS: [(Kind, u32, &str); 13] = [
    (Kind::Bool, 16, "boolean"),
    (Kind::Int2, 21, "smallint"),
    (Kind::Int4, 23, "integer"),
    (Kind::Int8, 20, "bigint"),
    (Kind::Float4, 700, "real"),
    (Kind::Float8, 701, "double precision"),
    (Kind::Numeric, 1700, "numeric"),
    (Kind::Text, 25, "text"),
    (Kind::Json, 114, "json"),
    (Kind::Jsonb, 3802, "jsonb"),
    (Kind::Timestamptz, 1184, "timestamptz"),
    (Kind::Timestamp, 1114, "timestamp"),
    (Kind::Date, 1082, "date"),
];

/// `name`, `character` and `character varying` are written as text is.
const TEXTS: [u32; 3] = [19, 1042, 1043];

impl Kind {
    /// The type with this object identifier.
    pub(crate) fn of(oid: u32) -> Option<Self> {
        if TEXTS.contains(&oid) {
            return Some(Self::Text);
        }
        KINDS.iter().find(|(_, own, _)| *own == oid).map(|(kind, ..)| *kind)
    }

    /// Its name in SQL.
    pub(crate) fn as_sql(self) -> &'static str {
        KINDS[usize::from(self.code())].2
    }

    /// Its number in blocks of rows.
    pub(crate) fn code(self) -> u8 {
        let place = KINDS.iter().position(|(kind, ..)| *kind == self);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or_default()
    }

    /// The type with this number.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        KINDS.get(usize::from(code)).map(|(kind, ..)| *kind)
    }
}

/// The type of a column of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    Time,
    Text,
    F64,
    I64,
    U64,
    Bool,
}

const OWN: [Own; 6] = [Own::Time, Own::Text, Own::F64, Own::I64, Own::U64, Own::Bool];

impl Own {
    /// The type of the values of `field`.
    pub(crate) fn of(field: &Field) -> Self {
        match (field.role, field.ty) {
            (FieldRole::Time, _) => Self::Time,
            (_, FieldType::F64) => Self::F64,
            (_, FieldType::I64) => Self::I64,
            (_, FieldType::U64) => Self::U64,
            (_, FieldType::Bool) => Self::Bool,
            // Any other type would be written as text is.
            _ => Self::Text,
        }
    }

    /// Its name in messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Time => "times",
            Self::Text => "text",
            Self::F64 => "numbers (f64)",
            Self::I64 => "integers (i64)",
            Self::U64 => "integers (u64)",
            Self::Bool => "booleans",
        }
    }

    /// The types of columns that take its values, the one for new tables first.
    pub(crate) fn kinds(self) -> &'static [Kind] {
        use Kind::{
            Bool, Float4, Float8, Int2, Int4, Int8, Json, Jsonb, Numeric, Text, Timestamp, Timestamptz,
        };
        match self {
            Self::Time => &[Timestamptz, Timestamp, Int8],
            Self::Text => &[Text, Json, Jsonb],
            Self::F64 => &[Float8, Float4, Numeric],
            Self::I64 | Self::U64 => &[Int8, Int4, Int2, Numeric, Float8, Float4],
            Self::Bool => &[Bool, Int2, Int4, Int8, Numeric, Float8, Float4],
        }
    }

    /// The type of a column for its values in a new table.
    pub(crate) fn natural(self) -> Kind {
        self.kinds()[0]
    }

    /// Its number in blocks of rows.
    pub(crate) fn code(self) -> u8 {
        OWN.iter().position(|own| *own == self).and_then(|place| u8::try_from(place).ok()).unwrap_or_default()
    }

    /// The type with this number.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        OWN.get(usize::from(code)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_identifiers_lead_back_to_the_type() {
        for (kind, oid, name) in KINDS {
            assert_eq!((Kind::of(oid), kind.as_sql()), (Some(kind), name));
            assert_eq!(Kind::of_code(kind.code()), Some(kind));
        }
        for own in OWN {
            assert_eq!(Own::of_code(own.code()), Some(own));
            assert_eq!(own.natural(), own.kinds()[0]);
        }
        assert_eq!((Kind::of(1043), Kind::of(2950), Kind::of_code(99)), (Some(Kind::Text), None, None));
    }
}
