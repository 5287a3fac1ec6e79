//! Stack traces in the user's own lines: positions of the JavaScript that runs become positions of what was written.

use oxc_sourcemap::SourceMap;
use sandmill_model::version::HostedModule;

/// Rewrites each `file:line:column` of the module in `stack`.
pub(crate) fn map(stack: &str, module: &HostedModule) -> String {
    let Some(Ok(map)) = module.source_map.as_deref().map(SourceMap::from_json_string) else { return stack.to_owned() };
    let table = map.generate_lookup_table();
    let lookup = |line: u32, column: u32| {
        let token = map.lookup_token(&table, line.checked_sub(1)?, column.checked_sub(1)?)?;
        Some((token.get_src_line() + 1, token.get_src_col() + 1))
    };
    let lines: Vec<String> = stack.lines().map(|line| map_line(line, &module.file_name, lookup)).collect();
    lines.join("\n")
}

fn map_line(line: &str, file: &str, lookup: impl Fn(u32, u32) -> Option<(u32, u32)>) -> String {
    let mapped = || {
        let at = line.rfind(&format!("{file}:"))? + file.len() + 1;
        let (position, rest) = line[at..].split_at(line[at..].find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(line.len() - at));
        let (row, column) = position.trim_end_matches(':').split_once(':')?;
        let (row, column) = lookup(row.parse().ok()?, column.parse().ok()?)?;
        Some(format!("{}{row}:{column}{rest}", &line[..at]))
    };
    mapped().unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_positions_of_the_file_and_nothing_else() {
        let lookup = |line, column| (line < 10).then_some((line + 100, column + 1));
        for (line, expected) in [
            ("    at main (a.ts:2:5)", "    at main (a.ts:102:6)"),
            ("    at a.ts:2:5", "    at a.ts:102:6"),
            ("    at main (a.ts:12:5)", "    at main (a.ts:12:5)"),
            ("    at main (b.ts:2:5)", "    at main (b.ts:2:5)"),
            ("    at main (a.ts)", "    at main (a.ts)"),
            ("    at native", "    at native"),
        ] {
            assert_eq!(map_line(line, "a.ts", lookup), expected);
        }
    }
}
