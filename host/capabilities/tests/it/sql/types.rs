use serde_json::{Value, json};

use super::Pg;

/// Runs the query with the parameters; the answer's text as it came.
async fn value(pg: &Pg, expression: &str, parameters: &str) -> Value {
    pg.calls(&json!([["query", 0, format!("SELECT {expression} AS v"), parameters]])).await[0][0]["v"].clone()
}

#[tokio::test]
async fn each_type_of_postgresql_comes_back_as_it_went() {
    let Some(pg) = Pg::new("read") else { return };
    pg.say("CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN small AS int2; CREATE EXTENSION IF NOT EXISTS citext");
    let same = [
        ("bool", "true"),
        ("int2", "-32768"),
        ("int4", "2147483647"),
        ("int8", "9007199254740991"),
        ("int8", "\"9007199254740992\""),
        ("int8", "\"-9223372036854775808\""),
        ("oid", "4294967295"),
        ("float4", "0.1"),
        ("float8", "0.1"),
        ("float8", "1e300"),
        ("float8", "5e-324"),
        ("float8", "\"NaN\""),
        ("float8", "\"-Infinity\""),
        ("numeric", "\"0\""),
        ("numeric", "\"12345678901234567890.123456789012345678901234567890\""),
        ("numeric", "\"-0.000010\""),
        ("numeric", "\"10000\""),
        ("numeric", "\"100000000.00\""),
        ("numeric", "\"NaN\""),
        ("text", "\"ä\\\"\\n\\u0001😀\""),
        ("varchar", "\"\""),
        ("name", "\"n\""),
        ("citext", "\"Ab\""),
        ("bytea", "\"AP8=\""),
        ("json", "{\"a\":[1,1.50,12345678901234567890]}"),
        ("jsonb", "[null,\"x\",12345678901234567890]"),
        ("uuid", "\"01234567-89ab-cdef-0123-456789abcdef\""),
        ("timestamptz", "\"2026-01-31T12:00:00.123456Z\""),
        ("timestamptz", "\"infinity\""),
        ("timestamp", "\"1969-12-31T23:59:59.999999\""),
        ("timestamp", "\"-infinity\""),
        ("date", "\"2024-02-29\""),
        ("date", "\"infinity\""),
        ("time", "\"23:59:59.999999\""),
        ("mood", "\"glad\""),
        ("small", "7"),
        ("int4[]", "[1,null,3]"),
        ("int4[]", "[]"),
        ("text[]", "[[\"a\",null],[\"b\",\"c\"]]"),
        ("numeric[]", "[\"1.50\"]"),
        ("mood[]", "[\"sad\"]"),
        ("jsonb[]", "[{\"a\":1},[2]]"),
        ("int8", "null"),
    ];
    for (kind, json) in same {
        let text = value(&pg, &format!("$1::{kind}"), &format!("[{json}]")).await;
        assert_eq!(text, serde_json::from_str::<Value>(json).unwrap(), "{kind} {json}");
    }
}

#[tokio::test]
async fn values_of_other_forms() {
    let Some(pg) = Pg::new("read") else { return };
    for (expression, parameters, expected) in [
        ("$1::int8", "[\"7\"]", json!(7)),
        ("$1::int4", "[1e3]", json!(1000)),
        ("$1::numeric", "[12345678901234567890.5]", json!("12345678901234567890.5")),
        ("$1::numeric", "[1.5e-5]", json!("0.000015")),
        ("$1::text", "[12345678901234567890]", json!("12345678901234567890")),
        ("$1::timestamptz", "[\"2026-01-31T13:00:00+01:00\"]", json!("2026-01-31T12:00:00.000000Z")),
        ("$1::text::inet", "[\"10.0.0.1/8\"]", json!("10.0.0.1/8")),
        ("'::1'::inet", "[]", json!("::1")),
        ("'10.0.0.0/8'::cidr", "[]", json!("10.0.0.0/8")),
        ("'08:00:2b:01:02:03'::macaddr", "[]", json!("08:00:2b:01:02:03")),
        ("'101'::bit(3)", "[]", json!("101")),
        ("'1 year 2 mons -3 days 04:05:06.5'::interval", "[]", json!("1 year 2 mons -3 days 04:05:06.5")),
        ("'0'::interval", "[]", json!("00:00:00")),
        ("'12:00:00+05:30'::timetz", "[]", json!("12:00:00.000000+05:30")),
        ("'0044-03-15 BC'::date", "[]", json!("0044-03-15 BC")),
        ("'\"a\"'::\"char\"", "[]", json!("\"")),
        ("'<a/>'::xml", "[]", json!("<a/>")),
        ("1e30::float4", "[]", json!(1e30)),
        ("NULL", "[]", json!(null)),
    ] {
        let text = value(&pg, expression, parameters).await;
        assert_eq!(text, expected, "{expression} {parameters}");
    }
}

#[tokio::test]
async fn what_cannot_be_bound_or_read_is_told() {
    let Some(pg) = Pg::new("read") else { return };
    for (statement, parameters, told) in [
        ("SELECT $1::int4 AS v", "[2147483648]", "$1, of the type int4"),
        ("SELECT $1::int8 AS v", "[9223372036854775808]", "$1, of the type int8"),
        ("SELECT $1::int8 AS v", "[1.5]", "$1"),
        ("SELECT $1::bool AS v", "[\"true\"]", "$1"),
        ("SELECT $1::uuid AS v", "[\"x\"]", "$1"),
        ("SELECT $1::bytea AS v", "[\"?\"]", "base64"),
        ("SELECT $1::text AS v", "[\"a\\u0000\"]", "NUL"),
        ("SELECT $1::text AS v", "[{}]", "string"),
        ("SELECT $1::int4[] AS v", "[[[1],[2,3]]]", "same length"),
        ("SELECT $1::int4[] AS v", "[[[[[[[[1]]]]]]]]", "levels"),
        ("SELECT $1::inet AS v", "[\"::1\"]", "::text::"),
        ("SELECT $1::int4 AS v", "[]", "1 parameters; 0"),
        ("SELECT 1 AS v", "[1]", "0 parameters; 1"),
        ("SELECT $1::int4 AS v", "{}", "no JSON array"),
        ("SELECT $1::int4 AS v", "[1", "no JSON array"),
        ("SELECT 1 AS a, 2 AS a", "[]", "`a`"),
        ("SELECT int4range(1, 2) AS r", "[]", "`r`: values of the type int4range cannot be read; make them text"),
        ("SELECT ROW(1, 2) AS r", "[]", "::text"),
        ("SELECT 'a'::tsvector AS r", "[]", "::text"),
    ] {
        let result = pg.calls(&json!([["query", 0, statement, parameters]])).await;
        assert!(result[0]["invalid"].as_str().is_some_and(|text| text.contains(told)), "{statement} {parameters}: {result}");
    }
}

#[tokio::test]
async fn columns_are_told_without_rows() {
    let Some(pg) = Pg::new("read") else { return };
    let result = pg.calls(&json!([["query", 0, "SELECT 1::int8 AS a, ARRAY['x'] AS b WHERE false"]])).await;
    assert_eq!(result, json!([{ "columns": ["a int8", "b text[]"] }]));
}
