//! Functions as somebody writes them who has never heard of the host that will call them.

use std::{cell::Cell, iter::zip};

use exports::acme::shapes::{
    canvases::{self, CanvasBorrow, GuestCanvas},
    ops::{self, Colour, Everything, Fault, Permissions, Person, Point, Shape},
};

wit_bindgen::generate!({ path: "wit", world: "functions" });

struct Functions;

impl Guest for Functions {
    fn greet(name: String, times: Option<u32>) -> String {
        vec![format!("hello, {name}"); times.unwrap_or(1) as usize].join("; ")
    }
}

impl ops::Guest for Functions {
    fn area(shape: Shape) -> f64 {
        area(&shape)
    }

    fn describe(person: Person) -> String {
        let Person { name, age, nickname, favourite_colour, may } = person;
        let nickname = nickname.map_or_else(String::new, |nickname| format!(", called {nickname},"));
        let colour = match favourite_colour {
            Colour::Red => "red",
            Colour::Green => "green",
            Colour::DarkBlue => "dark blue",
        };
        let names = [(Permissions::READ, "read"), (Permissions::WRITE, "write"), (Permissions::RUN_AS, "run as")];
        let may: Vec<&str> = names.into_iter().filter(|(one, _)| may.contains(*one)).map(|(_, name)| name).collect();
        format!("{name}{nickname} is {age}, likes {colour} and may {}", if may.is_empty() { "nothing".to_owned() } else { may.join(", ") })
    }

    fn identity(value: Everything) -> Everything {
        value
    }

    fn divide(dividend: i64, divisor: i64) -> Result<i64, String> {
        dividend.checked_div(divisor).ok_or_else(|| format!("{dividend} cannot be divided by {divisor}"))
    }

    fn big(number: u64) -> u64 {
        number.wrapping_add(1)
    }

    fn fails(code: u32) -> Result<(), Fault> {
        if code == 0 { Ok(()) } else { Err(Fault { code, reason: format!("asked to fail with {code}"), at: Some(Point { x: 1.5, y: -2.0 }) }) }
    }

    fn reverse(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.reverse();
        bytes
    }

    fn nothing() {}

    fn which(value: Option<Option<String>>) -> String {
        match value {
            None => "none".to_owned(),
            Some(None) => "some(none)".to_owned(),
            Some(Some(text)) => format!("some(some({text}))"),
        }
    }

    fn abort(reason: String) {
        panic!("{reason}");
    }
}

fn area(shape: &Shape) -> f64 {
    match shape {
        Shape::Empty => 0.0,
        Shape::Circle(radius) => std::f64::consts::PI * radius * radius,
        Shape::Rectangle((width, height)) => width * height,
        Shape::Polygon(points) => {
            let doubled: f64 = zip(points, points.iter().cycle().skip(1)).map(|(a, b)| a.x * b.y - b.x * a.y).sum();
            doubled.abs() / 2.0
        }
    }
}

struct Canvas {
    painted: Cell<f64>,
}

impl GuestCanvas for Canvas {
    fn new(_background: Colour) -> Self {
        Self { painted: Cell::new(0.0) }
    }

    fn draw(&self, shape: Shape) {
        self.painted.set(self.painted.get() + area(&shape));
    }
}

impl canvases::Guest for Functions {
    type Canvas = Canvas;

    fn paint(on: CanvasBorrow<'_>, shape: Shape) -> f64 {
        let canvas: &Canvas = on.get();
        canvas.draw(shape);
        canvas.painted.get()
    }

    fn blank() -> canvases::Canvas {
        canvases::Canvas::new(Canvas { painted: Cell::new(0.0) })
    }

    fn colours() -> Vec<Colour> {
        vec![Colour::Red, Colour::Green, Colour::DarkBlue]
    }
}

export!(Functions);
