//! Parses the command line and runs the command; nothing else.

fn main() {}
