//! Items of any length in one sequence of bytes: each behind its length.

use tidemill_engine::error::{Error, Result};

/// Appends `item`.
///
/// # Errors
/// A data error if it has 4 GiB.
pub(crate) fn push(item: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let length = u32::try_from(item.len()).map_err(|_| Error::data("a record of 4 GiB cannot be sent"))?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(item);
    Ok(())
}

/// The items of all `blocks`, in order.
pub(crate) fn items(
    blocks: &mut dyn Iterator<Item = Result<Vec<u8>>>,
) -> impl Iterator<Item = Result<Vec<u8>>> + '_ {
    let mut block = Vec::new();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at == block.len() {
            match blocks.next()? {
                Ok(next) => (block, at) = (next, 0),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(next(&block, &mut at))
    })
}

/// The item at `at`, which then is behind it.
fn next(block: &[u8], at: &mut usize) -> Result<Vec<u8>> {
    let damaged = || Error::data("prepared records cannot be read: they are cut off");
    let (length, rest) = block[*at..].split_first_chunk().ok_or_else(damaged)?;
    let length = u32::from_le_bytes(*length) as usize;
    let item = rest.get(..length).ok_or_else(damaged)?;
    *at += size_of::<u32>() + length;
    Ok(item.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn items_come_back_from_any_blocks(blocks in proptest::collection::vec(proptest::collection::vec(any::<Vec<u8>>(), 0..4), 0..5)) {
            let packed: Vec<Vec<u8>> = blocks.iter().map(|block| {
                let mut out = Vec::new();
                block.iter().for_each(|item| push(item, &mut out).expect("room"));
                out
            }).collect();
            let mut packed = packed.into_iter().map(Ok);
            let back: Vec<Vec<u8>> = items(&mut packed).collect::<Result<_>>().expect("items");
            prop_assert_eq!(back, blocks.concat());
        }

        #[test]
        fn damaged_blocks_are_an_error_and_no_panic(bytes in any::<Vec<u8>>()) {
            let mut blocks = std::iter::once(Ok(bytes));
            let _either = items(&mut blocks).take(1000).collect::<Result<Vec<_>>>();
        }
    }
}
