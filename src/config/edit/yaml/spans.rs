//! Where the keys and values of a YAML text begin and end.

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

use crate::config::tree::DEPTH;

/// A value.
#[derive(Debug)]
pub(super) struct Node {
    /// In bytes.
    pub(super) start: usize,
    /// Behind its last character; comments and blanks do not count.
    pub(super) end: usize,
    pub(super) shape: Shape,
}

impl Node {
    /// Whether nothing is written.
    pub(super) fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

/// How it is written.
#[derive(Debug)]
pub(super) enum Shape {
    /// A scalar, an alias, or a list in brackets: on its own whatever it is.
    Word,
    /// A list with dashes, or a text behind `|` or `>`.
    Lines,
    /// A table with a line for each key.
    Block(Vec<Entry>),
    /// A table in braces.
    Flow(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Where the key begins.
    pub(super) start: usize,
    /// Behind the colon.
    pub(super) colon: usize,
    pub(super) value: Node,
}

impl Entry {
    /// Behind the last character.
    pub(super) fn end(&self) -> usize {
        self.value.end.max(self.colon)
    }
}

struct Open {
    start: usize,
    table: bool,
    flow: bool,
    key: Option<(String, usize, usize)>,
    entries: Vec<Entry>,
    end: usize,
}

/// The root of a text; `None`: there is nothing in it.
///
/// # Errors
/// What the parser says.
pub(super) fn read(text: &str) -> Result<Option<Node>, String> {
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
        emit_comments: false,
    };
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let (start, end) = ends(text, &span);
        let node = match event {
            Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => {
                let table = matches!(event, Event::MappingStart(..));
                let flow = style == StructureStyle::Flow;
                open.push(Open { start, table, flow, key: None, entries: Vec::new(), end: start });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = open.pop() else { continue };
                let end = if open.flow { end } else { open.end };
                let shape = match (open.table, open.flow) {
                    (true, true) => Shape::Flow(open.entries),
                    (true, false) => Shape::Block(open.entries),
                    (false, true) => Shape::Word,
                    (false, false) => Shape::Lines,
                };
                Node { start: open.start, end, shape }
            }
            Event::Scalar(word, style, ..) => {
                if let Some(Open { table: true, key: place @ None, end: last, .. }) = open.last_mut() {
                    *place = Some((word.into_owned(), start, end));
                    *last = end;
                    continue;
                }
                let lines = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                Node { start, end, shape: if lines { Shape::Lines } else { Shape::Word } }
            }
            Event::Alias(_) => Node { start, end, shape: Shape::Word },
            _ => continue,
        };
        let Some(around) = open.last_mut() else {
            root = Some(node).filter(|node| !node.is_empty());
            continue;
        };
        if let Some((name, start, key_end)) = around.key.take() {
            let colon = text[key_end..].find(':').map_or(key_end, |length| key_end + length + 1);
            around.end = around.end.max(colon).max(node.end);
            around.entries.push(Entry { name, start, colon, value: node });
        } else {
            around.end = around.end.max(node.end);
        }
    }
    Ok(root)
}

/// From where to where, without the blanks and line ends behind it.
fn ends(text: &str, span: &Span) -> (usize, usize) {
    let start = span.start.byte_offset().unwrap_or(0).min(text.len());
    let end = span.end.byte_offset().unwrap_or(start).clamp(start, text.len());
    (start, start + text[start..end].trim_end().len())
}
