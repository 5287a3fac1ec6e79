//! README, Variables, resources, databases, objects.

use sandmill::{
    Result, blob, resources,
    sql::{self, Session},
    variables,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Serialize, Deserialize)]
struct Sale {
    name: String,
    total: String,
}

#[sandmill::main]
fn main(day: String) -> Result<Value> {
    let db = sql::open("f/demo/warehouse")?;
    let rows: Vec<Sale> = db.query("SELECT name, total FROM sales WHERE day = $1::date", [&day])?;
    db.transaction(|tx| {
        tx.execute("DELETE FROM summary WHERE day = $1::date", [&day])?;
        tx.execute("INSERT INTO summary VALUES ($1::date, $2::int8)", (&day, rows.len()))
    })?;
    blob::put(&format!("reports/{day}.json"), Some("application/json"), sandmill::json::to_string(&rows)?)?;
    for object in blob::list("reports/", None, 1000)? {
        println!("{} {}", object.key, object.size);
    }
    let shop: Value = resources::open("f/demo/shop")?.fields()?;
    Ok(json!({ "region": variables::get("f/demo/region")?, "shop": shop }))
}

#[cfg(test)]
mod tests {
    use sandmill::testing::Fakes;
    use serde_json::json;

    use super::main;

    #[test]
    fn writes_a_report() {
        let world = Fakes::new()
            .sql("f/demo/warehouse", |statement, _| {
                Ok(if statement.starts_with("SELECT") { json!([{"name": "a", "total": "1.50"}]) } else { json!(1) })
            })
            .blobs("reports/")
            .resource("f/demo/shop", "shop", json!({"open": true}), &[])
            .variable("f/demo/region", "eu")
            .install();
        assert_eq!(main("2026-01-31".to_owned()).unwrap(), json!({"region": "eu", "shop": {"open": true}}));
        assert_eq!(world.blob("reports/2026-01-31.json").unwrap(), br#"[{"name":"a","total":"1.50"}]"#);
        assert_eq!(world.statements()[4], "COMMIT");
    }
}
