//! Places in a stack trace, from the module that runs back to the file that its author wrote.

use oxc_sourcemap::SourceMap;
use sandmill_model::version::HostedModule;

/// Places of one stack that are mapped. A script may write its errors' stacks itself, as long as it likes.
const PLACES_MAX: usize = 200;

/// Frames `… hello.ts:12:5 …` of one module.
pub struct StackMap<'a> {
    module: &'a HostedModule,
    lines: Vec<&'a str>,
    map: Option<SourceMap<'a>>,
}

/// Line and column from 1. Columns count UTF-16 code units, as in source maps and in other engines.
pub type Place = (u32, u32);

impl<'a> StackMap<'a> {
    /// A module without a source map is what its author wrote.
    #[must_use]
    pub fn new(module: &'a HostedModule) -> Self {
        let map = module.source_map.as_deref().and_then(|map| SourceMap::from_json_string(map).ok());
        Self { module, lines: module.source.split('\n').collect(), map }
    }

    /// `stack` with the places in the module replaced by the places in the file.
    #[must_use]
    pub fn map(&self, stack: &str) -> String {
        let original = self.original();
        let mut mapped = String::with_capacity(stack.len());
        let mut rest = stack;
        for _ in 0..PLACES_MAX {
            let Some((before, place, after)) = self.next_place(rest) else { break };
            let (line, column) = original(place).unwrap_or(place);
            mapped += before;
            mapped += &format!("{}:{line}:{column}", self.module.file_name);
            rest = after;
        }
        mapped + rest
    }

    /// The first place in the file that `stack` names.
    #[must_use]
    pub fn first_place(&self, stack: &str) -> Option<Place> {
        let (_, place, _) = self.next_place(stack)?;
        self.original()(place)
    }

    /// What finds the place in the file; the table behind it is as long as the module.
    fn original(&self) -> impl Fn(Place) -> Option<Place> {
        let map = self.map.as_ref().map(|map| (map, map.generate_lookup_table()));
        move |place| {
            let (line, column) = self.in_code_units(place);
            let Some((map, table)) = &map else { return Some((line, column)) };
            let token = map.lookup_token(table, line.checked_sub(1)?, column.saturating_sub(1))?;
            Some((token.get_src_line() + 1, token.get_src_col() + 1))
        }
    }

    /// QuickJS counts bytes.
    fn in_code_units(&self, (line, column): Place) -> Place {
        let text = self.lines.get(line.saturating_sub(1) as usize).copied().unwrap_or_default();
        let bytes = column.saturating_sub(1) as usize;
        let wider: usize = text
            .char_indices()
            .take_while(|(start, _)| *start < bytes)
            .map(|(_, character)| character.len_utf8() - character.len_utf16())
            .sum();
        (line, column.saturating_sub(u32::try_from(wider).unwrap_or(0)))
    }

    /// What is before the next `file:line:column`, the place, and what is after it.
    fn next_place<'s>(&self, text: &'s str) -> Option<(&'s str, Place, &'s str)> {
        for (start, _) in text.match_indices(self.module.file_name.as_str()) {
            let after_name = &text[start + self.module.file_name.len()..];
            if let Some((line, rest)) = number_after_colon(after_name)
                && let Some((column, rest)) = number_after_colon(rest)
            {
                return Some((&text[..start], (line, column), rest));
            }
        }
        None
    }
}

fn number_after_colon(text: &str) -> Option<(u32, &str)> {
    let digits = text.strip_prefix(':')?;
    let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().map(|number| (number, &digits[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(source_map: Option<String>) -> HostedModule {
        HostedModule { file_name: "a.ts".to_owned(), source: String::new(), parameters: Vec::new(), has_preprocessor: false, source_map }
    }

    #[test]
    fn places_are_mapped_and_the_rest_is_kept() {
        // Line 2 from column 0 on comes from line 5, column 2.
        let module_with_map = module(Some(r#"{"version":3,"names":[],"sources":["a.ts"],"mappings":";AAIE"}"#.to_owned()));
        let map = StackMap::new(&module_with_map);
        assert_eq!(
            map.map("    at main (a.ts:2:1)\n    at b.ts:2:1\n    at a.ts:x\n"),
            "    at main (a.ts:5:3)\n    at b.ts:2:1\n    at a.ts:x\n"
        );
        assert_eq!(map.first_place("at <anonymous> (a.ts:2:7)"), Some((5, 3)));
        assert_eq!(map.first_place("nowhere"), None);
        assert_eq!(map.map("a.ts:99999999999:1 a.ts:1:1"), "a.ts:99999999999:1 a.ts:1:1", "what is out of range stays");
    }

    #[test]
    fn a_stack_that_a_script_made_up_is_mapped_in_part() {
        let plain = HostedModule { source: "ž = x;".to_owned(), ..module(None) };
        let mapped = StackMap::new(&plain).map(&"a.ts:1:6\n".repeat(PLACES_MAX + 1));
        assert_eq!(mapped, "a.ts:1:5\n".repeat(PLACES_MAX) + "a.ts:1:6\n");
    }

    #[test]
    fn without_a_map_only_columns_change() {
        let plain = HostedModule { source: "\nž = x;".to_owned(), ..module(None) };
        assert_eq!(StackMap::new(&plain).map("a.ts:2:1 a.ts:2:6 a.ts:9:9"), "a.ts:2:1 a.ts:2:5 a.ts:9:9");
        assert_eq!(StackMap::new(&plain).first_place("x a.ts:2:1"), Some((2, 1)));
    }
}
