//! JSON: strings and numbers are read by `serde_json`; the structure here, because places and
//! keys that are there twice are not to be had from it.

use serde_json::Number;

use super::Fault;
use crate::config::tree::{DEPTH, Data, Key, Node, TWICE, step};

pub(super) fn read(text: &str) -> (Option<Node>, Vec<Fault>) {
    let mut reader = Reader { text, at: 0, faults: Vec::new() };
    let node = reader.value(0).and_then(|node| {
        reader.skip();
        if reader.at < text.len() { reader.wrong("there is more after the end of the document") } else { Ok(node) }
    });
    match node {
        Ok(node) => (Some(node), reader.faults),
        Err(fault) => {
            reader.faults.push(fault);
            (None, reader.faults)
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn wrong<T>(&self, message: &str) -> Result<T, Fault> {
        Err(Fault::new(self.at, "", message))
    }

    fn skip(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Whether the next byte is this one, which is then behind us.
    fn take(&mut self, byte: u8) -> bool {
        self.skip();
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        self.skip();
        if depth > DEPTH {
            return self.wrong(&format!("it is nested deeper than {DEPTH}"));
        }
        let at = self.at;
        let data = match self.peek() {
            Some(b'{') => self.table(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Data::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'a'..=b'z') => self.word()?,
            Some(_) => return self.wrong("expected a JSON value"),
            None => return self.wrong("the document ends too early"),
        };
        Ok(Node { at, data })
    }

    fn table(&mut self, depth: usize) -> Result<Data, Fault> {
        self.at += 1;
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        if self.take(b'}') {
            return Ok(Data::Table(entries));
        }
        loop {
            self.skip();
            if self.peek() != Some(b'"') {
                return self.wrong("expected a key in double quotes");
            }
            let key = Key { at: self.at, name: self.string()? };
            if !self.take(b':') {
                return self.wrong("expected ':' after the key");
            }
            let value = self.value(depth + 1)?;
            if seen.insert(key.name.clone()) {
                entries.push((key, value));
            } else {
                self.faults.push(Fault::new(key.at, step(&key.name), TWICE));
            }
            if self.take(b'}') {
                return Ok(Data::Table(entries));
            }
            if !self.take(b',') {
                return self.wrong("expected ',' or '}'");
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Data, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Data::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(b']') {
                return Ok(Data::List(items));
            }
            if !self.take(b',') {
                return self.wrong("expected ',' or ']'");
            }
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let bytes = &self.text.as_bytes()[self.at..];
        let mut end = 1;
        while let Some(byte) = bytes.get(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let Some(written) = self.text.get(self.at..self.at + end + 1) else {
            return self.wrong("this string has no end");
        };
        match serde_json::from_str(written) {
            Ok(text) => {
                self.at += end + 1;
                Ok(text)
            }
            Err(_) => self.wrong("this string is not valid: a control character, or a \\ that escapes nothing"),
        }
    }

    fn number(&mut self) -> Result<Data, Fault> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(rest.len());
        let written = &rest[..end];
        let number: Option<Number> = serde_json::from_str(written).ok();
        let data = number.and_then(|n| match n.as_i64() {
            Some(whole) => Some(Data::Whole(whole, written.to_owned())),
            None => Some(Data::Float(n.as_f64()?, written.to_owned())),
        });
        match data {
            Some(data) => {
                self.at += end;
                Ok(data)
            }
            None => self.wrong("this is no JSON number"),
        }
    }

    fn word(&mut self) -> Result<Data, Fault> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let data = match &rest[..end] {
            "null" => Data::Null,
            "true" => Data::Bool(true),
            "false" => Data::Bool(false),
            _ => return self.wrong("expected a JSON value: strings are in double quotes"),
        };
        self.at += end;
        Ok(data)
    }
}
