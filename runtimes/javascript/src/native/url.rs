//! WHATWG URLs by the `url` crate; js/url.js makes classes of them.

use crate::text::Text;
use rquickjs::{
    Array, Ctx, Object, Result,
    prelude::{Func, Opt},
};
use url::{Url, quirks};

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("parseUrl", Func::from(parse))?;
    native.set("changeUrl", Func::from(change))?;
    native.set("parseForm", Func::from(parse_form))?;
    native.set("serializeForm", Func::from(serialize_form))
}

/// Names and values of `application/x-www-form-urlencoded` in turn.
fn parse_form(text: Text) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(text.0.as_bytes());
    pairs.flat_map(|(name, value)| [name.into_owned(), value.into_owned()]).collect()
}

fn serialize_form(flat: Vec<Text>) -> String {
    let pairs = flat.chunks_exact(2).map(|pair| (&pair[0].0, &pair[1].0));
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The parts of a URL, or nothing if it is not one.
fn parse<'js>(ctx: Ctx<'js>, url: Text, base: Opt<Option<Text>>) -> Result<Option<Array<'js>>> {
    let url = match base.0.flatten() {
        None => Url::parse(&url.0),
        Some(base) => Url::parse(&base.0).and_then(|base| base.join(&url.0)),
    };
    url.ok().map(|url| parts(ctx, &url)).transpose()
}

/// The parts of `href` after one of them was set. What cannot be set stays as it was.
fn change<'js>(ctx: Ctx<'js>, href: Text, part: Text, value: Text) -> Result<Option<Array<'js>>> {
    let Ok(mut url) = Url::parse(&href.0) else {
        return Ok(None);
    };
    let (url_ref, value) = (&mut url, value.0.as_str());
    let _unchanged_if_refused = match part.0.as_str() {
        "protocol" => quirks::set_protocol(url_ref, value),
        "username" => quirks::set_username(url_ref, value),
        "password" => quirks::set_password(url_ref, value),
        "host" => quirks::set_host(url_ref, value),
        "hostname" => quirks::set_hostname(url_ref, value),
        "port" => quirks::set_port(url_ref, value),
        "pathname" => {
            quirks::set_pathname(url_ref, value);
            Ok(())
        }
        "search" => {
            quirks::set_search(url_ref, value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(url_ref, value);
            Ok(())
        }
        _ => Err(()),
    };
    parts(ctx, &url).map(Some)
}

/// In the order in which js/url.js names them.
fn parts<'js>(ctx: Ctx<'js>, url: &Url) -> Result<Array<'js>> {
    let parts = [
        quirks::href(url),
        &quirks::origin(url),
        quirks::protocol(url),
        quirks::username(url),
        quirks::password(url),
        quirks::host(url),
        quirks::hostname(url),
        quirks::port(url),
        quirks::pathname(url),
        quirks::search(url),
        quirks::hash(url),
    ];
    let array = Array::new(ctx)?;
    for (index, part) in parts.into_iter().enumerate() {
        array.set(index, part)?;
    }
    Ok(array)
}
