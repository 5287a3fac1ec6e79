//! Requests, recorded and given to the test's function.

use crate::{
    Error, Result,
    http::{Request, Response},
    testing::world,
};

pub(crate) fn send(request: Request) -> Result<Response> {
    let world = world::current()?;
    let denied = || {
        let message =
            format!("no answer was faked for {} {}: `Fakes::new().http(|request| Ok(Response::new(200)))`", request.method, request.url);
        Error::new("HTTP-request-denied", message)
    };
    let server = world.server.clone().ok_or_else(denied)?;
    request.parts()?;
    world.recorded.borrow_mut().requests.push(request.clone());
    server(&request)
}
