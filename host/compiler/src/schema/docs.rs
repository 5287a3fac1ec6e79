//! Doc comments: descriptions, and the tags that say more than types do.

use std::collections::HashMap;

use oxc::ast::ast::{Comment, Program};

use super::json::Json;

/// Doc comments by the place in the source that they are attached to.
pub(super) struct Docs<'a> {
    text: &'a str,
    attached: HashMap<u32, Comment>,
    all: Vec<Comment>,
}

impl<'a> Docs<'a> {
    pub(super) fn new(program: &'a Program<'a>) -> Self {
        let all: Vec<Comment> = program.comments.iter().filter(|comment| is_doc(program.source_text, comment)).copied().collect();
        // Of several the last wins, as in TypeScript.
        let attached = all.iter().map(|comment| (comment.attached_to, *comment)).collect();
        Self { text: program.source_text, attached, all }
    }

    pub(super) fn at(&self, offset: u32) -> Option<Doc<'a>> {
        self.attached.get(&offset).map(|comment| self.read(comment))
    }

    /// Comments that declare a type.
    pub(super) fn typedefs(&self) -> Vec<Doc<'a>> {
        self.all.iter().map(|comment| self.read(comment)).filter(|doc| doc.typedef.is_some()).collect()
    }

    fn read(&self, comment: &Comment) -> Doc<'a> {
        let span = comment.content_span();
        let content = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        Doc::parse(comment.span.start, content.strip_prefix('*').unwrap_or(content))
    }
}

fn is_doc(text: &str, comment: &Comment) -> bool {
    comment.is_block() && text.get(comment.span.start as usize..).is_some_and(|text| text.starts_with("/**") && !text.starts_with("/**/"))
}

#[derive(Clone, Default)]
pub(super) struct Doc<'a> {
    pub(super) offset: u32,
    text: String,
    parameters: Vec<Tag>,
    /// `@property` of a `@typedef`.
    pub(super) properties: Vec<Tag>,
    pub(super) typedef: Option<Tag>,
    /// Keywords of JSON Schema given as tags, e.g. `@minimum 1`.
    keywords: Vec<(&'static str, Json)>,
    is_integer: bool,
    marker: std::marker::PhantomData<&'a ()>,
}

/// `{type} [name=default] text`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tag {
    pub(super) ty: Option<String>,
    pub(super) name: String,
    is_optional: bool,
    default: Option<String>,
    text: String,
}

impl Tag {
    pub(super) fn has_type(&self) -> bool {
        self.ty.is_some()
    }

    /// Whether its type says `integer`, which TypeScript has no word for.
    pub(super) fn names_integer(&self) -> bool {
        self.ty.as_deref().is_some_and(|ty| ty.split(|part: char| !part.is_alphanumeric()).any(|word| word == "integer" || word == "int"))
    }

    pub(super) fn is_optional(&self) -> bool {
        self.is_optional || self.ty.as_deref().is_some_and(|ty| ty.trim().ends_with('='))
    }

    pub(super) fn default(&self) -> Option<Json> {
        let text = self.default.as_deref()?;
        serde_json::from_str::<serde_json::Value>(text).ok().map(Json::from).or_else(|| Some(Json::from(text.trim_matches('\''))))
    }

    pub(super) fn text(&self) -> Option<String> {
        Some(self.text.clone()).filter(|text| !text.is_empty())
    }

    fn parse(rest: &str) -> Self {
        let (ty, rest) = take_type(rest);
        let rest = rest.trim_start();
        let (name, default, is_optional, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((inside, rest)) => match inside.split_once('=') {
                Some((name, default)) => (name.trim(), Some(default.trim().to_owned()), true, rest),
                None => (inside.trim(), None, true, rest),
            },
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (&rest[..end], None, false, &rest[end..])
            }
        };
        let text = rest.trim_start().trim_start_matches(['-', '–', '—']).trim();
        Self { ty, name: name.to_owned(), is_optional, default, text: text.to_owned() }
    }
}

impl<'a> Doc<'a> {
    fn parse(offset: u32, content: &str) -> Self {
        let lines = content.lines().map(|line| {
            let line = line.trim();
            line.strip_prefix('*').map_or(line, str::trim_start)
        });
        let mut blocks: Vec<String> = vec![String::new()];
        for line in lines {
            let (first, tags) = split_tags(line);
            if first.starts_with('@') {
                blocks.push(first.to_owned());
            } else if let Some(block) = blocks.last_mut() {
                block.push('\n');
                block.push_str(first);
            }
            blocks.extend(tags.into_iter().map(str::to_owned));
        }
        let mut blocks = blocks.into_iter();
        let mut doc = Self { offset, text: blocks.next().unwrap_or_default().trim().to_owned(), ..Self::default() };
        blocks.for_each(|block| doc.add(&block));
        doc
    }

    fn add(&mut self, block: &str) {
        let end = block.find(char::is_whitespace).unwrap_or(block.len());
        let (name, rest) = (&block[..end], block[end..].trim());
        let keyword = |name| serde_json::from_str::<serde_json::Number>(rest).ok().map(|number| (name, Json::Number(number)));
        match name {
            "@param" | "@arg" | "@argument" => self.parameters.push(Tag::parse(rest)),
            "@property" | "@prop" => self.properties.push(Tag::parse(rest)),
            "@typedef" => self.typedef = Some(Tag::parse(rest)),
            "@integer" | "@int" => self.is_integer = true,
            "@type" => self.is_integer |= Tag::parse(rest).names_integer(),
            "@minimum" => self.keywords.extend(keyword("minimum")),
            "@maximum" => self.keywords.extend(keyword("maximum")),
            "@minLength" => self.keywords.extend(keyword("minLength")),
            "@maxLength" => self.keywords.extend(keyword("maxLength")),
            "@minItems" => self.keywords.extend(keyword("minItems")),
            "@maxItems" => self.keywords.extend(keyword("maxItems")),
            "@format" if !rest.is_empty() => self.keywords.push(("format", Json::from(rest))),
            "@description" | "@desc" if self.text.is_empty() => rest.clone_into(&mut self.text),
            _ => {}
        }
    }

    pub(super) fn description(&self) -> Option<String> {
        Some(self.text.clone()).filter(|text| !text.is_empty())
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&Tag> {
        self.parameters.iter().find(|tag| tag.name == name)
    }

    /// `opts.loud` under `opts`.
    pub(super) fn parts_of(&self, name: &str) -> Vec<Tag> {
        let parts = self.parameters.iter().filter_map(|tag| {
            let part = tag.name.strip_prefix(name)?.strip_prefix('.')?;
            (!part.contains(['.', '['])).then(|| Tag { name: part.to_owned(), ..tag.clone() })
        });
        parts.collect()
    }

    /// Adds what tags say beyond the type.
    pub(super) fn refine(&self, mut schema: Json) -> Json {
        if self.is_integer {
            schema = as_integer(schema);
        }
        self.keywords.iter().fold(schema, |schema, (keyword, value)| schema.with(keyword, value.clone()))
    }
}

/// Tags that may begin in the middle of a line. Any other `@` there is text, as in an address.
const TAGS: [&str; 24] = [
    "arg",
    "argument",
    "default",
    "deprecated",
    "desc",
    "description",
    "example",
    "format",
    "int",
    "integer",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "param",
    "prop",
    "property",
    "return",
    "returns",
    "throws",
    "type",
    "typedef",
];

/// What is in front of the first tag within the line, and the tags. One that the line begins with is not within it; what
/// stands in backticks or braces is text, and so is the rest of an example.
fn split_tags(line: &str) -> (&str, Vec<&str>) {
    let mut starts = Vec::new();
    let (mut is_code, mut braces) = (false, 0_usize);
    for (index, character) in line.char_indices() {
        match character {
            '`' => is_code = !is_code,
            '{' => braces += 1,
            '}' => braces = braces.saturating_sub(1),
            '@' if index > 0 && !is_code && braces == 0 && line[..index].ends_with(char::is_whitespace) => {
                let name = line[index + 1..].split(|part: char| !part.is_ascii_alphanumeric()).next().unwrap_or_default();
                if TAGS.contains(&name) {
                    starts.push(index);
                }
            }
            _ => {}
        }
    }
    if line.starts_with("@example") {
        starts.clear();
    }
    let ends = starts.iter().skip(1).copied().chain([line.len()]);
    let tags = starts.iter().zip(ends).map(|(start, end)| line[*start..end].trim_end()).collect();
    (line[..starts.first().copied().unwrap_or(line.len())].trim_end(), tags)
}

/// The number in a schema, or in the items of an array.
fn as_integer(schema: Json) -> Json {
    let integer = |name: &Json| if name.as_str() == Some("number") { Json::from("integer") } else { name.clone() };
    match (schema.get("type").cloned(), schema.get("items").cloned()) {
        (Some(Json::Array(names)), _) => schema.with("type", names.iter().map(integer).collect::<Vec<_>>()),
        (Some(name), Some(items)) if name.as_str() == Some("array") => schema.with("items", as_integer(items)),
        (Some(name), _) => schema.with("type", integer(&name)),
        _ => schema,
    }
}

/// `{type}` with its braces balanced, and what follows.
fn take_type(text: &str) -> (Option<String>, &str) {
    let Some(inside) = text.trim_start().strip_prefix('{') else { return (None, text) };
    let mut depth = 1_usize;
    for (index, character) in inside.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (Some(inside[..index].trim().to_owned()), &inside[index + 1..]);
        }
    }
    (None, text)
}
