//! The shortest texts of doubles that read back to the same bits (clause 18), for whole columns: eight at a time if the processor has
//! AVX-512, otherwise one by one. All implementations give the same bytes.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
mod tests;

/// The text of one number in a slot of fixed size, so that it can be copied without checking its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct Slot([u8; Slot::SIZE]);

impl Slot {
    /// Bytes of a slot: the text, padding with arbitrary content, and the text's length in the last byte.
    pub const SIZE: usize = 32;

    /// The maximum length of a text, in bytes.
    pub const MOST: usize = Self::SIZE - 1;

    /// A slot without text.
    pub const EMPTY: Self = Self([0; Self::SIZE]);

    /// A slot with this text.
    ///
    /// # Panics
    /// If it has more than [`Slot::MOST`] bytes.
    pub fn new(text: &[u8]) -> Self {
        let mut slot = Self::EMPTY;
        slot.push(text);
        slot
    }

    /// The length of the text in bytes, at most [`Slot::MOST`].
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.0[Self::MOST]) % Self::SIZE
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text.
    #[inline]
    pub fn text(&self) -> &[u8] {
        &self.0[..self.len()]
    }

    /// The text and its padding.
    #[inline]
    pub fn bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    /// Appends to the text.
    #[inline]
    fn push(&mut self, text: &[u8]) {
        let (start, end) = (self.len(), self.len() + text.len());
        assert!(end <= Self::MOST, "a text of {} bytes at most", Self::MOST);
        self.0[start..end].copy_from_slice(text);
        self.0[Self::MOST] = end as u8;
    }
}

/// Writes the shortest text of each of `values` into the slot at the same index: `NaN`, `inf` and `-inf` for non-finite ones.
///
/// # Panics
/// If there are fewer slots than values.
pub fn write_all(values: &[f64], slots: &mut [Slot]) {
    let slots = &mut slots[..values.len()];
    #[cfg(target_arch = "x86_64")]
    if avx512::is_there() {
        return avx512::write_all(values, slots);
    }
    write_each(values, slots);
}

/// The same one by one, on any processor: the oracle of the others.
fn write_each(values: &[f64], slots: &mut [Slot]) {
    for (value, slot) in values.iter().zip(slots) {
        *slot = write_one(*value);
    }
}

/// The text of one number.
#[inline]
fn write_one(value: f64) -> Slot {
    let mut slot = Slot::EMPTY;
    with_shortest(value, |part| slot.push(part));
    slot
}

/// Calls `push` with the shortest text of `value`, in two parts if necessary.
#[inline]
pub fn with_shortest(value: f64, mut push: impl FnMut(&[u8])) {
    if !value.is_finite() {
        return push(if value.is_nan() { b"NaN" } else { infinity(value) });
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    let text = text.strip_suffix(".0").unwrap_or(text);
    // Only large numbers have a positive exponent: most need no search for it.
    let exponent = if value.abs() < 1e15 { None } else { text.split_once("e+") };
    match exponent {
        None => push(text.as_bytes()),
        Some((mantissa, exponent)) => {
            push(mantissa.as_bytes());
            push(b"e");
            push(exponent.as_bytes());
        }
    }
}

fn infinity(value: f64) -> &'static [u8] {
    if value > 0.0 { b"inf" } else { b"-inf" }
}
