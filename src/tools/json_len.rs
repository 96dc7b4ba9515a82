//! How long a value is as JSON, without writing it.

use std::io;

use serde::Serialize;

/// The length of `value` as JSON text, in bytes.
pub(crate) fn json_len(value: &(impl Serialize + ?Sized)) -> usize {
    let mut count = Count(0);
    // Counting does not fail; what cannot be written as JSON leaves no room, so that nothing is shown.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX / 4, |()| count.0)
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
