//! Contiguous values of a column: owned, shared, or in the memory of another library.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Contiguous values of one column: owned by this buffer, shared with its clones, or in the memory of another library, such as an Arrow array. Reading
/// gives a slice in all cases; changing values that are not owned copies them first.
pub struct Buffer<T>(Storage<T>);

/// Who owns the values.
enum Storage<T> {
    /// This buffer.
    Own(Vec<T>),
    /// This buffer and its clones.
    Shared(Arc<Vec<T>>),
    /// Another library: they are never changed here.
    Foreign(Arc<dyn AsRef<[T]> + Send + Sync>),
}

impl<T> Buffer<T> {
    /// A buffer that refers to the values of `owner` without copying them. `owner` is dropped with the last clone of the buffer; it must always return
    /// the same slice.
    pub fn from_owner(owner: impl AsRef<[T]> + Send + Sync + 'static) -> Self {
        Self(Storage::Foreign(Arc::new(owner)))
    }

    /// From now on clones refer to the same memory. The values do not move.
    pub fn share(&mut self) {
        if let Storage::Own(values) = &mut self.0 {
            self.0 = Storage::Shared(Arc::new(std::mem::take(values)));
        }
    }
}

impl<T: Clone> Buffer<T> {
    /// The values, mutable; copied first unless this buffer alone has them. Call it once before a loop, not for each value.
    #[inline]
    pub fn to_mut(&mut self) -> &mut Vec<T> {
        if !matches!(self.0, Storage::Own(_)) {
            self.own();
        }
        match &mut self.0 {
            Storage::Own(values) => values,
            Storage::Shared(_) | Storage::Foreign(_) => unreachable!("it has them by now"),
        }
    }

    #[cold]
    fn own(&mut self) {
        self.0 = Storage::Own(std::mem::take(self).into_vec());
    }

    /// The values; copied unless this buffer alone has them.
    pub fn into_vec(self) -> Vec<T> {
        match self.0 {
            Storage::Own(values) => values,
            Storage::Shared(values) => Arc::unwrap_or_clone(values),
            Storage::Foreign(owner) => (*owner).as_ref().to_vec(),
        }
    }

    /// Whether they can be changed in place.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.0, Storage::Own(_))
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Storage::Own(values) => values,
            Storage::Shared(values) => values,
            Storage::Foreign(owner) => (**owner).as_ref(),
        }
    }
}

impl<T> AsRef<[T]> for Buffer<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Storage::Own(values))
    }
}

impl<T> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Vec::from_iter(values).into()
    }
}

impl<'a, T> IntoIterator for &'a Buffer<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T: Clone> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Storage::Own(values) => Storage::Own(values.clone()),
            Storage::Shared(values) => Storage::Shared(Arc::clone(values)),
            Storage::Foreign(owner) => Storage::Foreign(Arc::clone(owner)),
        })
    }
}

impl<T: PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Buffer<T> {}

impl<T: fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Like a `Vec`.
impl<T: Serialize> Serialize for Buffer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Buffer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_shared_buffer_are_the_same_memory_until_one_is_changed() {
        let mut own = Buffer::from(vec![1, 2, 3]);
        let place = own.as_ptr();
        assert_ne!(own.clone().as_ptr(), place, "what is not shared is copied");
        own.share();
        let mut other = own.clone();
        assert_eq!((own.as_ptr(), other.as_ptr()), (place, place));
        other.to_mut().push(4);
        assert_eq!((&*own, &*other), (&[1, 2, 3][..], &[1, 2, 3, 4][..]));
        assert_eq!(own.as_ptr(), place);
        drop(other);
        // Nobody else has it any more.
        assert_eq!(own.to_mut().as_ptr(), place);
    }

    #[test]
    fn foreign_memory_is_referred_to_and_never_changed() {
        let foreign: Arc<[u64]> = Arc::new([7, 8]);
        let mut buffer = Buffer::from_owner(Arc::clone(&foreign));
        assert_eq!((buffer.as_ptr(), buffer.clone().as_ptr()), (foreign.as_ptr(), foreign.as_ptr()));
        buffer.to_mut()[0] = 9;
        assert_eq!((&*buffer, &*foreign), (&[9, 8][..], &[7, 8][..]));
        let kept = Buffer::from_owner(Arc::clone(&foreign));
        assert_eq!(Arc::strong_count(&foreign), 2);
        drop(kept);
        assert_eq!(Arc::strong_count(&foreign), 1);
    }

    #[test]
    fn it_is_written_as_a_list_whoever_has_it() {
        let list = vec![1_u64, 500, 3];
        let bytes = postcard::to_stdvec(&list).expect("written");
        let mut shared = Buffer::from(list.clone());
        shared.share();
        for buffer in [Buffer::from(list.clone()), shared, Buffer::from_owner(list.clone())] {
            assert_eq!(postcard::to_stdvec(&buffer).expect("written"), bytes);
            assert_eq!(postcard::from_bytes::<Buffer<u64>>(&bytes).expect("read"), buffer);
        }
    }
}
