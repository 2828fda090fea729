//! The entries of an index.

use std::io;

use super::files::Files;
use super::{ENTRY, Entry, HEADER};

/// Entries that are read at once.
const BLOCK: u64 = 1024;

/// Entries of an index, read in blocks.
#[derive(Debug, Default)]
pub(in crate::logs) struct Entries {
    first: u64,
    block: Vec<u8>,
}

impl Entries {
    /// The entry of this number, counted from 0. `None`: it is not there, or not known.
    pub(in crate::logs) fn get(&mut self, files: &Files, number: u64) -> io::Result<Option<Entry>> {
        if let Some(bytes) = self.bytes(number) {
            return Ok(Entry::decode(bytes));
        }
        self.first = number / BLOCK * BLOCK;
        // A few at the end need no room for many.
        let room = files.entries()?.saturating_sub(self.first).min(BLOCK) * ENTRY;
        self.block.resize(usize::try_from(room).unwrap_or_default(), 0);
        let mut got = 0;
        while let Some(rest) = self.block.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match files.read_index(rest, HEADER + self.first * ENTRY + got as u64)? {
                0 => break,
                n => got += n,
            }
        }
        self.block.truncate(got);
        Ok(self.bytes(number).and_then(Entry::decode))
    }

    fn bytes(&self, number: u64) -> Option<&[u8]> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.block.get(at.checked_mul(ENTRY as usize)?..)?.get(..ENTRY as usize)
    }

    /// Up to where entries cover each stream, looking back from the entry before `number`.
    pub(in crate::logs) fn covered(&mut self, files: &Files, number: u64) -> io::Result<[u64; 2]> {
        let mut ends = [None; 2];
        let mut at = number;
        while at > 0 && ends.contains(&None) {
            at -= 1;
            if let Some(entry) = self.get(files, at)? {
                ends[entry.side as usize].get_or_insert(entry.end());
            }
        }
        Ok([0, 1].map(|side| ends[side].unwrap_or(files.base[side])))
    }
}
