#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pressmark_fuzz::paths::check(input));
