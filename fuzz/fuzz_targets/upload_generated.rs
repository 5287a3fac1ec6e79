#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sandmill_properties::upload_generated(data);
});
