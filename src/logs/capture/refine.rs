//! From a pipe into the file of a stream whose lines are kept in a form that somebody asked for: by way
//! of its [`Spool`]. Everybody else's bytes are moved as they are, and never come here.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use super::super::layout::{Side, micros};
use super::super::spool::Spool;
use super::full;
use super::sink::{Sink, TURN, move_bytes};
use crate::clock;

impl Sink {
    /// Whether the bytes of a stream cannot be moved as they are.
    pub(super) fn has_form(&self, side: Side) -> bool {
        self.form.is_asked_for() || self.spools[side as usize].is_some()
    }

    /// What an earlier daemon has left in the spool of a stream. What it has written of it behind the
    /// end that is known, is written again: the same, if nobody has changed how it is to be.
    pub(super) fn find_spool(&mut self, side: Side) -> io::Result<()> {
        let Some(mut spool) = Spool::open(&self.dir, side, true)? else { return Ok(()) };
        let (offset, progress) = (spool.head.offset, &self.sides[side as usize]);
        if (progress.covered..=progress.end).contains(&offset) {
            let (file, base) = self.data(side)?;
            file.set_len(offset - base)?;
            self.sides[side as usize].end = offset;
        } else {
            // The files it spoke of were removed.
            spool.done(0, progress.end, 0)?;
        }
        self.spools[side as usize] = Some(spool);
        Ok(())
    }

    /// As `take`.
    pub(super) fn take_in_form(&mut self, side: Side, fifo: &OwnedFd) -> io::Result<usize> {
        let moved = match self.spool(side).and_then(|spool| move_bytes(fifo, &spool.file, spool.end()?, TURN)) {
            Err(error) if full::is_full(&error) => return self.lose(side, fifo),
            other => other?,
        };
        self.refine(side, false)?;
        self.tell(side, micros(clock::now()))?;
        Ok(moved)
    }

    /// The spool of a stream, with the form that is wanted now.
    fn spool(&mut self, side: Side) -> io::Result<&Spool> {
        let (form, end) = (self.form, self.sides[side as usize].end);
        if self.spools[side as usize].as_ref().is_some_and(|spool| spool.head.form != form) {
            self.refine(side, true)?;
        }
        let spool = match self.spools[side as usize].take() {
            Some(mut spool) => {
                if spool.head.form != form {
                    spool.change(form)?;
                }
                spool
            }
            None => Spool::create(&self.dir, side, form, end)?,
        };
        Ok(self.spools[side as usize].insert(spool))
    }

    /// Puts what is in the spool into the files, and new files where those are due. `ended`: nothing
    /// follows it. Where there is no room it is dropped.
    pub(super) fn refine(&mut self, side: Side, ended: bool) -> io::Result<()> {
        let Some(spool) = &self.spools[side as usize] else { return Ok(()) };
        let (raw, form, mut column) = (spool.rest()?, spool.head.form, spool.head.column);
        let (mut rest, mut to) = (&raw[..], Vec::with_capacity(raw.len()));
        while !rest.is_empty() {
            if column == 0 && self.is_due() {
                self.turn();
            }
            to.clear();
            let used = form.apply(rest, ended, self.room(), &mut column, &mut to);
            if used == 0 {
                break;
            }
            match self.put(side, &to, used, column) {
                Err(error) if full::is_full(&error) => return self.drop_rest(side, rest),
                other => other?,
            }
            rest = &rest[used..];
            self.has_room(side);
        }
        Ok(())
    }

    fn put(&mut self, side: Side, bytes: &[u8], used: usize, column: usize) -> io::Result<()> {
        let end = self.sides[side as usize].end;
        let (file, base) = self.data(side)?;
        if let Err(error) = file.write_all_at(bytes, end - base) {
            // A part of it may be there.
            file.set_len(end - base)?;
            return Err(error);
        }
        let end = end + bytes.len() as u64;
        if let Some(spool) = &mut self.spools[side as usize] {
            spool.done(used, end, column)?;
        }
        self.sides[side as usize].end = end;
        Ok(())
    }

    fn drop_rest(&mut self, side: Side, rest: &[u8]) -> io::Result<()> {
        let progress = &mut self.sides[side as usize];
        progress.loss.drop_bytes(rest, progress.end);
        let end = progress.end;
        if let Some(spool) = &mut self.spools[side as usize] {
            spool.done(rest.len(), end, 0)?;
        }
        self.is_lost(side)
    }

    /// What is left is put into the files: nothing follows it, or not as a part of it. Without a form
    /// the spool goes.
    pub(super) fn finish(&mut self, side: Side) -> io::Result<()> {
        self.refine(side, true)?;
        let (wanted, end) = (self.form.is_asked_for(), self.sides[side as usize].end);
        match self.spools[side as usize].take() {
            Some(mut spool) if wanted => {
                spool.done(0, end, 0)?;
                self.spools[side as usize] = Some(spool);
                Ok(())
            }
            Some(spool) => spool.remove(),
            None => Ok(()),
        }
    }

    /// The same of one that ends: a spool is made again when it is needed.
    pub(super) fn finish_run(&mut self, side: Side) -> io::Result<()> {
        self.refine(side, true)?;
        self.spools[side as usize].take().map_or(Ok(()), Spool::remove)
    }
}
