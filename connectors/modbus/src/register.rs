//! A register: where it is, and its value from 16-bit words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_engine::batch::{FieldType, Number};

use crate::scaling::Scaling;

/// The table of a device in which a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Holding registers: 16 bits each, function 3.
    #[default]
    Holding,
    /// Input registers: 16 bits each, function 4.
    Input,
    /// Coils: one bit each, function 1.
    Coil,
    /// Discrete inputs: one bit each, function 2.
    Discrete,
}

impl Kind {
    /// Whether each address of the table is a single bit.
    pub(crate) fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// What it is called in messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Holding => "holding register",
            Self::Input => "input register",
            Self::Coil => "coil",
            Self::Discrete => "discrete input",
        }
    }
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// Unsigned, 16 bits: one register.
    U16,
    /// Signed, 16 bits: one register.
    I16,
    /// Unsigned, 32 bits: two registers.
    U32,
    /// Signed, 32 bits: two registers.
    I32,
    /// Unsigned, 64 bits: four registers.
    U64,
    /// Signed, 64 bits: four registers.
    I64,
    /// Floating point, 32 bits: two registers.
    F32,
    /// Floating point, 64 bits: four registers.
    F64,
    /// A truth value: a bit, or whether a register is not 0.
    Bool,
}

impl ValueType {
    /// How many addresses it takes.
    pub(crate) fn width(self) -> u16 {
        match self {
            Self::U16 | Self::I16 | Self::Bool => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }

    /// The type of the column, without a scale.
    fn field_type(self) -> FieldType {
        match self {
            Self::U16 | Self::U32 | Self::U64 => FieldType::U64,
            Self::I16 | Self::I32 | Self::I64 => FieldType::I64,
            Self::F32 | Self::F64 => FieldType::F64,
            Self::Bool => FieldType::Bool,
        }
    }

    /// The number with these bits, the lowest ones of `raw`.
    fn number(self, raw: u64) -> Number {
        match self {
            Self::U16 | Self::U32 | Self::U64 => Number::U64(raw),
            Self::I16 => Number::I64((raw as i16).into()),
            Self::I32 => Number::I64((raw as i32).into()),
            Self::I64 => Number::I64(raw as i64),
            Self::F32 => Number::F64(f32::from_bits(raw as u32).into()),
            Self::F64 => Number::F64(f64::from_bits(raw)),
            Self::Bool => Number::Bool(raw != 0),
        }
    }
}

/// Which of several parts comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Endian {
    /// The most significant one.
    #[default]
    Big,
    /// The least significant one.
    Little,
}

/// A value of a device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Register {
    pub(crate) kind: Kind,
    /// The address of the first of its words, or its bit.
    pub(crate) address: u16,
    pub(crate) ty: ValueType,
    /// The bit of the register that is the value, from 0.
    pub(crate) bit: Option<u8>,
    /// The order of the registers of a value.
    pub(crate) word_order: Endian,
    /// The order of the two bytes in each register.
    pub(crate) byte_order: Endian,
    pub(crate) scaling: Option<Scaling>,
}

impl Register {
    /// The addresses that it takes, as the first and the one behind the last.
    pub(crate) fn span(&self) -> (u32, u32) {
        let start = u32::from(self.address);
        (start, start + u32::from(self.ty.width()))
    }

    /// The type of its column.
    pub(crate) fn field_type(&self) -> FieldType {
        if self.scaling.is_some() { FieldType::F64 } else { self.ty.field_type() }
    }

    /// Its value from the words at its addresses; `None` for NaN, by which devices say that there is no value.
    pub(crate) fn decode(&self, words: &[u16]) -> Option<Number> {
        let raw = self.assembled(words);
        let number = match self.bit {
            Some(bit) => Number::Bool(raw >> bit & 1 == 1),
            None => self.ty.number(raw),
        };
        if number.as_f64().is_nan() {
            return None;
        }
        Some(match self.scaling {
            Some(scaling) => Number::F64(scaling.apply(number.as_f64())),
            None => number,
        })
    }

    /// The bits of all words, in their order.
    fn assembled(&self, words: &[u16]) -> u64 {
        let join = |bits: u64, &word: &u16| {
            let word = if self.byte_order == Endian::Little { word.swap_bytes() } else { word };
            bits << 16 | u64::from(word)
        };
        match self.word_order {
            Endian::Big => words.iter().fold(0, join),
            Endian::Little => words.iter().rev().fold(0, join),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::register;
    use proptest::prelude::*;

    const ORDERS: [(Endian, Endian); 4] = [
        (Endian::Big, Endian::Big),
        (Endian::Little, Endian::Big),
        (Endian::Big, Endian::Little),
        (Endian::Little, Endian::Little),
    ];

    fn of(ty: ValueType, (word_order, byte_order): (Endian, Endian)) -> Register {
        Register { word_order, byte_order, ..register(Kind::Holding, 0, ty) }
    }

    /// The bytes of a value, the most significant first, as words in the order of `register`: a plain mirror of the decoding.
    fn encode(register: &Register, bytes: &[u8]) -> Vec<u16> {
        let pairs = bytes.chunks_exact(2).map(|pair| match register.byte_order {
            Endian::Big => u16::from_be_bytes([pair[0], pair[1]]),
            Endian::Little => u16::from_le_bytes([pair[0], pair[1]]),
        });
        let mut words: Vec<u16> = pairs.collect();
        if register.word_order == Endian::Little {
            words.reverse();
        }
        words
    }

    #[test]
    fn the_four_orders_of_two_registers_have_their_usual_names() {
        // A is the most significant byte of 0xAABBCCDD.
        let names = [[0xAABB, 0xCCDD], [0xCCDD, 0xAABB], [0xBBAA, 0xDDCC], [0xDDCC, 0xBBAA]];
        for (order, words) in ORDERS.into_iter().zip(names) {
            assert_eq!(of(ValueType::U32, order).decode(&words), Some(Number::U64(0xAABB_CCDD)), "{order:?}");
        }
    }

    #[test]
    fn bits_and_truth_values() {
        let bit =
            |bit, byte_order| Register { bit: Some(bit), ..of(ValueType::Bool, (Endian::Big, byte_order)) };
        assert_eq!(bit(3, Endian::Big).decode(&[0b1000]), Some(Number::Bool(true)));
        assert_eq!(bit(2, Endian::Big).decode(&[0b1000]), Some(Number::Bool(false)));
        assert_eq!(bit(15, Endian::Big).decode(&[0x8000]), Some(Number::Bool(true)));
        assert_eq!(bit(7, Endian::Little).decode(&[0x8000]), Some(Number::Bool(true)));
        let whole = of(ValueType::Bool, ORDERS[0]);
        assert_eq!(
            (whole.decode(&[0]), whole.decode(&[2])),
            (Some(Number::Bool(false)), Some(Number::Bool(true)))
        );
    }

    #[test]
    fn nan_is_no_value_and_infinity_is_one() {
        for nan in [f32::NAN.to_bits(), 0xFFFF_FFFF, 0x7F80_0001] {
            let register = of(ValueType::F32, ORDERS[0]);
            assert_eq!(register.decode(&encode(&register, &nan.to_be_bytes())), None);
        }
        let register = of(ValueType::F64, ORDERS[1]);
        assert_eq!(register.decode(&encode(&register, &f64::NAN.to_be_bytes())), None);
        let infinite = register.decode(&encode(&register, &f64::INFINITY.to_be_bytes()));
        assert_eq!(infinite, Some(Number::F64(f64::INFINITY)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_to_the_same(raw: u64, order in 0..4_usize) {
            let order = ORDERS[order];
            let decoded = |ty, bytes: &[u8]| {
                let register = of(ty, order);
                register.decode(&encode(&register, bytes))
            };
            let (short, middle) = (raw as u16, raw as u32);
            prop_assert_eq!(decoded(ValueType::U16, &short.to_be_bytes()), Some(Number::U64(short.into())));
            prop_assert_eq!(decoded(ValueType::I16, &short.to_be_bytes()), Some(Number::I64((short as i16).into())));
            prop_assert_eq!(decoded(ValueType::U32, &middle.to_be_bytes()), Some(Number::U64(middle.into())));
            prop_assert_eq!(decoded(ValueType::I32, &middle.to_be_bytes()), Some(Number::I64((middle as i32).into())));
            prop_assert_eq!(decoded(ValueType::U64, &raw.to_be_bytes()), Some(Number::U64(raw)));
            prop_assert_eq!(decoded(ValueType::I64, &raw.to_be_bytes()), Some(Number::I64(raw as i64)));
            let float = f32::from_bits(middle);
            let expected = (!float.is_nan()).then_some(Number::F64(float.into()));
            prop_assert_eq!(decoded(ValueType::F32, &middle.to_be_bytes()), expected);
            let double = f64::from_bits(raw);
            let expected = (!double.is_nan()).then_some(Number::F64(double));
            prop_assert_eq!(decoded(ValueType::F64, &raw.to_be_bytes()), expected);
            prop_assert_eq!(decoded(ValueType::Bool, &short.to_be_bytes()), Some(Number::Bool(short != 0)));
        }
    }
}
