//! Books goods into a warehouse and out of it: a database, objects, a request with secrets, a variable and a resource, all on one server in the
//! SDK's tests.

use sandmill::{
    Error, Result, blob, http, resources,
    sql::{self, Session},
    variables,
};
use serde::{Deserialize, Serialize};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, count INTEGER NOT NULL)";
const RECEIPTS: &str = "receipts/";

#[derive(Deserialize)]
struct Stock {
    count: i64,
}

#[derive(Deserialize)]
struct Supplier {
    origin: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    item: String,
    count: i64,
    price: f64,
    currency: String,
    supplier: String,
}

#[derive(Debug, PartialEq, Serialize)]
struct Booked {
    receipt: Receipt,
    /// How much there was at the last receipt.
    before: Option<i64>,
    /// Keys of all receipts.
    receipts: Vec<String>,
}

/// The host adds the supplier's token by itself, and puts the key where its placeholder stands.
fn price(supplier: &str, item: &str) -> Result<f64> {
    let answer = http::get(format!("{supplier}/prices/{item}")).header("x-key", variables::secret("f/demo/key")?).send()?;
    if !answer.is_ok() {
        return Err(Error::new("PriceError", format!("nobody sells {item}")).with_details(&answer.status));
    }
    answer.json()
}

/// How much there is now. A booking that would leave less than nothing is undone.
fn book(item: &str, count: i64) -> Result<i64> {
    let db = sql::open("f/demo/warehouse")?;
    db.execute(TABLE, ())?;
    db.transaction(|tx| {
        tx.execute("INSERT INTO stock VALUES ($1, 0) ON CONFLICT DO NOTHING", [item])?;
        tx.execute("UPDATE stock SET count = count + $1 WHERE item = $2", (count, item))?;
        let rows: Vec<Stock> = tx.query("SELECT count FROM stock WHERE item = $1", [item])?;
        match rows.first() {
            Some(stock) if stock.count >= 0 => Ok(stock.count),
            _ => Err(Error::new("StockError", format!("there is not so much of {item}"))),
        }
    })
}

/// Replaces the receipt before, whose count it returns. Of what is not there any more none is kept.
fn keep(receipt: &Receipt) -> Result<Option<i64>> {
    let key = format!("{RECEIPTS}{}.json", receipt.item);
    let before: Option<Receipt> = blob::get(&key)?.map(blob::Object::json).transpose()?;
    if receipt.count == 0 {
        blob::delete(&key)?;
    } else {
        blob::put(&key, Some("application/json"), sandmill::json::to_string(receipt)?)?;
    }
    Ok(before.map(|before| before.count))
}

#[sandmill::main]
fn main(
    /// What is booked, e.g. `nails`
    item: String,
    /// How much comes in; less than nothing goes out
    count: i64,
) -> Result<Booked> {
    let Supplier { origin: supplier } = resources::open("f/demo/supplier")?.fields()?;
    let price = price(&supplier, &item)?;
    let currency = variables::get("f/demo/currency")?;
    let count = book(&item, count)?;
    let receipt = Receipt { item, count, price, currency, supplier };
    let before = keep(&receipt)?;
    let receipts = blob::list(RECEIPTS, None, 1000)?.into_iter().map(|object| object.key).collect();
    Ok(Booked { receipt, before, receipts })
}

#[cfg(test)]
mod tests {
    use sandmill::{
        http::Response,
        testing::{Fakes, World, placeholder},
    };
    use serde_json::json;

    use super::{Booked, Receipt, main};

    /// A warehouse in which there is so much of everything after a booking.
    fn world(count: i64) -> World {
        let fakes = Fakes::new()
            .sql("f/demo/warehouse", move |statement, _| {
                Ok(if statement.starts_with("SELECT") { json!([{ "count": count }]) } else { json!(1) })
            })
            .blobs("receipts/")
            .resource("f/demo/supplier", "http", json!({"origin": "https://supplier.example.com"}), &["/bearer"])
            .secret("f/demo/key")
            .variable("f/demo/currency", "EUR")
            .http(|request| {
                assert_eq!(request.header_value("x-key"), Some(placeholder("f/demo/key").as_str()));
                Ok(if request.url.ends_with("/nothing") { Response::new(404) } else { Response::new(200).with_body("2.5") })
            });
        fakes.install()
    }

    fn receipt(count: i64) -> Receipt {
        let [item, currency, supplier] = ["nails", "EUR", "https://supplier.example.com"].map(str::to_owned);
        Receipt { item, count, price: 2.5, currency, supplier }
    }

    #[test]
    fn books_and_keeps_a_receipt() {
        let world = world(5);
        let receipts = vec!["receipts/nails.json".to_owned()];
        assert_eq!(main("nails".to_owned(), 5).unwrap(), Booked { receipt: receipt(5), before: None, receipts });
        assert_eq!(main("nails".to_owned(), 0).unwrap().before, Some(5));
        assert_eq!(world.requests()[0].url, "https://supplier.example.com/prices/nails");
        assert_eq!(world.statements().last().map(String::as_str), Some("COMMIT"));
    }

    #[test]
    fn of_what_is_gone_no_receipt_is_kept() {
        let world = world(0);
        assert_eq!(main("nails".to_owned(), -5).unwrap(), Booked { receipt: receipt(0), before: None, receipts: Vec::new() });
        assert_eq!(world.blob("receipts/nails.json"), None);
    }

    #[test]
    fn what_cannot_be_booked_is_undone() {
        let world = world(-1);
        assert_eq!(main("nails".to_owned(), -6).unwrap_err().name, "StockError");
        assert_eq!(world.statements().last().map(String::as_str), Some("ROLLBACK"));
        let error = main("nothing".to_owned(), 1).unwrap_err();
        assert_eq!((error.name.as_str(), error.details.as_deref()), ("PriceError", Some("404")));
    }
}
