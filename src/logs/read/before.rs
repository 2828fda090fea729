//! Looking back: where lines and runs begin.

use std::io;
use std::path::Path;

use super::super::form::{Form, MARK};
use super::super::layout::{Entry, Side, What};
use super::source::{Place, Source};

/// Bytes that are looked through at once.
const PIECE: u64 = 1 << 14;
/// The beginning of a line is not looked for further back.
const LONGEST: u64 = 1 << 20;

/// A line that is not finished.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// What there is of it.
    pub(super) text: Vec<u8>,
    /// When the last of it came.
    pub(super) micros: u64,
}

impl Source {
    /// What there is before this entry of the line that it goes on with, without the parts of it that
    /// were given already.
    pub(super) fn line_before(&mut self, here: Place, entry: &Entry, form: &Form) -> io::Result<Begun> {
        let mut begun = Begun::default();
        // From the end of the line to its beginning.
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        let (mut place, mut length) = (here, 0);
        'back: while let Some((earlier, found)) = self.before(place)? {
            place = earlier;
            let Some(found) = found.filter(|found| found.side == entry.side) else { continue };
            if found.what != What::Bytes {
                break;
            }
            let mut end = found.end();
            while end > found.offset {
                let from = found.offset.max(end.saturating_sub(PIECE));
                let bytes = self.bytes(place.segment, found.side, from, end)?;
                let line_end = bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
                let rest = bytes.get(line_end.unwrap_or(0)..).unwrap_or_default().to_vec();
                length += rest.len() as u64;
                if !rest.is_empty() {
                    if pieces.is_empty() {
                        begun.micros = found.micros;
                    }
                    pieces.push(rest);
                }
                if line_end.is_some() || bytes.is_empty() || length >= LONGEST.max(form.max_line as u64) {
                    break 'back;
                }
                end = from;
            }
        }
        begun.text = pieces.into_iter().rev().flatten().collect();
        let given = form.last_part(&begun.text);
        if given > 0 {
            begun.text.splice(..given, MARK.iter().copied());
        }
        Ok(begun)
    }

    /// Those that can be read; of what is damaged only what is behind it.
    fn bytes(&mut self, segment: u64, side: Side, from: u64, end: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(end - from).unwrap_or_default()];
        let mut got = 0;
        while let Some(rest) = bytes.get_mut(got..).filter(|rest| !rest.is_empty()) {
            let Some(segment) = self.segment(segment)? else { break };
            match segment.files.read(side, from + got as u64, rest)? {
                0 => break,
                n => got += n,
            }
        }
        bytes.truncate(got);
        Ok(bytes)
    }
}

/// Where the run begins that goes on here.
///
/// # Errors
/// The files cannot be read.
pub(in crate::logs) fn start_of_run(dir: &Path, here: Place) -> io::Result<Place> {
    let Some(mut source) = Source::live(dir)? else { return Ok(here) };
    let (mut place, mut began) = (here, None);
    while let Some((earlier, found)) = source.before(place)? {
        place = earlier;
        match found.filter(|entry| entry.what == What::Start) {
            Some(_) => began = Some(place),
            // Both streams have one, and they stand together.
            None if began.is_some() => break,
            None => {}
        }
    }
    Ok(began.unwrap_or_else(|| source.first()))
}
