//! Partial results for whoever follows the run.

use crate::host::output as host;

/// How far the run is: `percent` from 0 to 100.
pub fn progress(percent: f64, text: &str) {
    host::progress(percent, text);
}

/// Appends to the run's output stream. It counts against the log limit.
pub fn write(chunk: impl AsRef<[u8]>) {
    host::write(chunk.as_ref());
}

#[cfg(test)]
mod tests {
    use crate::testing::Fakes;

    #[test]
    fn is_captured() {
        let world = Fakes::new().install();
        super::progress(50.0, "half");
        super::write("a");
        super::write([b'b']);
        assert_eq!(world.progress(), [(50.0, "half".to_owned())]);
        assert_eq!(world.output(), b"ab");
    }
}
