//! `read_file`: the pages of a file are the file.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use pressmark::call::{Content, ToolErrorKind};
use serde_json::{Value, json};

use crate::support::{Page, Served};

/// Texts that are hard to divide: every kind of line end, no line end, characters of every length, long lines, escapes.
fn texts() -> Vec<(&'static str, String)> {
    vec![
        ("empty", String::new()),
        ("one character", "a".to_owned()),
        ("one line", "a line\n".to_owned()),
        ("no line feed at the end", "a\nb\nc".to_owned()),
        ("empty lines only", "\n".repeat(5000)),
        ("CRLF", "some words\r\n".repeat(700)),
        ("carriage returns only", "some words\r".repeat(700)),
        ("long line", "x".repeat(20_000)),
        ("long lines among short ones", format!("short\n{}\nshort\n{}", "y".repeat(9000), "z".repeat(9000))),
        ("escapes", "\"quoted\" \\ \t\u{8}\u{c}\r\n\u{1}\u{1f}\u{7f}".repeat(600)),
        ("control characters in a long line", "\u{1}".repeat(3000)),
        ("two bytes", "é".repeat(7000)),
        ("two bytes, shifted", format!("a{}", "é".repeat(7000))),
        ("mixed lines", (0..900).map(|n| format!("{n} naïve café\n")).collect()),
    ]
}

/// Characters that only Unicode has.
fn unicode_texts() -> Vec<(&'static str, String)> {
    vec![
        ("three bytes", "€".repeat(5000)),
        ("four bytes", "😀".repeat(4000)),
        ("four bytes, shifted by one", format!("a{}", "😀".repeat(4000))),
        ("four bytes, shifted by two", format!("ab{}", "😀".repeat(4000))),
        ("four bytes, shifted by three", format!("abc{}", "😀".repeat(4000))),
        ("all lengths", "aé€😀".repeat(1500)),
        ("marks within", "\u{FEFF}a\u{FEFF}\n".repeat(500).replacen('\u{FEFF}', "", 1)),
        ("line separators", "a\u{2028}b\u{85}c\u{0A0A}d\n".repeat(800)),
    ]
}

/// The bytes of a text in each encoding that has its characters, with the name that results give it.
fn encoded(text: &str, is_latin: bool) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = vec![
        ("utf-8", text.as_bytes().to_vec()),
        ("utf-8-bom", format!("\u{FEFF}{text}").into_bytes()),
        ("utf-16le", format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("utf-16be", format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ];
    if is_latin && !text.is_ascii() {
        all.push(("windows-1252", text.chars().map(|character| u8::try_from(character).unwrap()).collect()));
    }
    all
}

/// Checks everything that holds of the pages of any reading from the beginning, and gives the text.
fn check_pages(what: &str, pages: &[Page], max_result_bytes: usize, size: u64) -> String {
    let mut byte = 0;
    for (index, page) in pages.iter().enumerate() {
        assert!(page.bytes <= max_result_bytes, "{what}: page {index} takes {} bytes", page.bytes);
        assert_eq!(page.content.len(), 2, "{what}");
        assert!(!page.summary().contains('\n'), "{what}: {}", page.summary());
        assert_eq!(page.number("byte_offset"), byte, "{what}: page {index} starts where the one before ended");
        assert_eq!(page.number("total_bytes"), size, "{what}");
        byte += page.number("byte_length");
        match page.next_cursor() {
            Some(cursor) => {
                assert!(!page.text().is_empty(), "{what}: page {index} is empty");
                assert!(page.summary().contains(cursor), "{what}: {}", page.summary());
            }
            None => assert_eq!(index, pages.len() - 1),
        }
    }
    assert_eq!(byte, size, "{what}: the pages cover the file");
    pages.iter().map(Page::text).collect()
}

#[test]
fn pages_together_are_the_file() {
    for budget in [2_000, 3_333, 40_000] {
        let served = Served::with_budget(budget);
        let latin = texts().into_iter().map(|(name, text)| (name, text, true));
        let unicode = unicode_texts().into_iter().map(|(name, text)| (name, text, false));
        for (name, text, is_latin) in latin.chain(unicode) {
            for (encoding, bytes) in encoded(&text, is_latin) {
                served.write("file", &bytes);
                let pages = served.read_all(&json!({ "path": "/file" }));
                let what = format!("{name} in {encoding}, budget {budget}");
                let shown = check_pages(&what, &pages, budget, bytes.len() as u64);
                assert!(shown == text, "{what}: the pages differ from the text");
                assert_eq!(pages[0].structured["encoding"], encoding, "{what}");
                assert_eq!(pages[0].structured.get("lossy"), None, "{what}");
                check_lines(&what, &pages, &text);
            }
        }
    }
}

fn check_lines(what: &str, pages: &[Page], text: &str) {
    let mut line_feeds = 0;
    for page in pages {
        if !page.text().is_empty() {
            assert_eq!(page.number("first_line"), line_feeds + 1, "{what}");
        }
        line_feeds += page.text().matches('\n').count() as u64;
        let ends_inside = !page.text().ends_with('\n') && page.next_cursor().is_some();
        assert_eq!(page.structured.get("ends_inside_line").is_some(), ends_inside, "{what}");
    }
    let lines = line_feeds + u64::from(!text.is_empty() && !text.ends_with('\n'));
    assert_eq!(pages.last().unwrap().number("total_lines"), lines, "{what}");
}

#[test]
fn limits_hold_for_every_page() {
    let served = Served::with_budget(2_500);
    for (name, text) in texts().into_iter().chain(unicode_texts()) {
        for (encoding, bytes) in encoded(&text, false) {
            served.write("file", &bytes);
            let what = format!("{name} in {encoding}");
            let by_lines = served.read_all(&json!({ "path": "/file", "limit": 7 }));
            assert!(check_pages(&what, &by_lines, 2_500, bytes.len() as u64) == text, "{what} by lines");
            check_lines(&what, &by_lines, &text);
            assert!(by_lines.iter().all(|page| page.text().lines().count() <= 7 || !name.contains("line")), "{what}");
            // A few hundred pages are enough for the sizes that divide characters.
            if bytes.len() < 40_000 {
                let by_bytes = served.read_all(&json!({ "path": "/file", "byte_limit": 401 }));
                assert!(check_pages(&what, &by_bytes, 2_500, bytes.len() as u64) == text, "{what} by bytes");
                // A byte order mark comes on top: it is not shown.
                assert!(by_bytes.iter().all(|page| page.number("byte_length") <= 401 + 3), "{what}");
                assert!(by_bytes.iter().all(|page| page.structured.get("first_line").is_none()), "{what}");
            }
        }
    }
}

#[test]
fn every_small_byte_limit_keeps_characters_whole() {
    let served = Served::new();
    let text = "aé€😀\r\n".repeat(20);
    for (encoding, bytes) in encoded(&text, false) {
        served.write("file", &bytes);
        for limit in 4..=13 {
            let pages = served.read_all(&json!({ "path": "/file", "byte_limit": limit }));
            assert_eq!(pages.iter().map(Page::text).collect::<String>(), text, "{encoding}, {limit} bytes a page");
        }
    }
}

#[test]
fn a_part_is_shown_by_lines() {
    let served = Served::new();
    served.write("ten", (1..=10).map(|n| format!("line {n}\n")).collect::<String>());
    let page = served.read(&json!({ "path": "/ten", "offset": 3, "limit": 2 }));
    assert_eq!(page.text(), "line 3\nline 4\n");
    assert_eq!((page.number("first_line"), page.number("last_line")), (3, 4));
    assert!(page.summary().contains("lines 3-4"), "{}", page.summary());
    let next = served.read(&json!({ "cursor": page.next_cursor().unwrap(), "path": "ten" }));
    assert_eq!(next.text(), "line 5\nline 6\n", "the cursor keeps the limit");
    let last = served.read(&json!({ "path": "/ten", "offset": 10 }));
    assert_eq!((last.text(), last.next_cursor(), last.number("total_lines")), ("line 10\n", None, 10));
    for offset in [11, 12, 1_000_000, u64::MAX] {
        let error = served.try_read(&json!({ "path": "/ten", "offset": offset })).unwrap_err();
        assert_eq!(error.kind(), ToolErrorKind::InvalidArgument);
        assert!(error.text().contains("`offset`") && error.text().contains("10 lines"), "{}", error.text());
    }
    let exact = served.read(&json!({ "path": "/ten", "offset": 1, "limit": 10 }));
    assert_eq!(exact.next_cursor(), None, "the limit is the file");
}

#[test]
fn a_part_is_shown_by_lines_in_every_encoding() {
    let served = Served::new();
    // The scan for lines goes over the borders of its buffer, and U+0A0A has line feeds in its bytes.
    let text: String = (1..=30_000).map(|n| format!("{n} \u{0A0A}é\n")).collect();
    for (encoding, bytes) in encoded(&text, false) {
        served.write("file", &bytes);
        for line in [1, 2, 12_345, 29_999, 30_000] {
            let page = served.read(&json!({ "path": "/file", "offset": line, "limit": 1 }));
            assert_eq!(page.text(), format!("{line} \u{0A0A}é\n"), "{encoding}");
        }
        let error = served.try_read(&json!({ "path": "/file", "offset": 30_001 })).unwrap_err();
        assert!(error.text().contains("30000 lines"), "{encoding}: {}", error.text());
    }
}

#[test]
fn a_part_is_shown_by_bytes() {
    let served = Served::new();
    served.write("file", "aé€😀b");
    assert_eq!(served.read(&json!({ "path": "/file", "byte_offset": 3 })).text(), "€😀b");
    assert_eq!(served.read(&json!({ "path": "/file", "byte_offset": 3, "byte_limit": 7 })).text(), "€😀");
    assert_eq!(served.read(&json!({ "path": "/file", "byte_offset": 3, "byte_limit": 6 })).text(), "€");
    for inside in [2, 4, 5, 7, 8, 9] {
        let error = served.try_read(&json!({ "path": "/file", "byte_offset": inside })).unwrap_err();
        assert!(error.text().contains("inside a character"), "{inside}: {}", error.text());
    }
    let error = served.try_read(&json!({ "path": "/file", "byte_offset": 11 })).unwrap_err();
    assert!(error.text().contains("11 bytes"), "{}", error.text());
    served.write("empty", "");
    assert_eq!(served.read(&json!({ "path": "/empty", "byte_offset": 0 })).text(), "");
    assert_eq!(served.read(&json!({ "path": "/empty", "offset": 1 })).text(), "");
}

#[test]
fn broken_text_is_shown_and_marked() {
    let served = Served::with_budget(2_000);
    let mut bytes = "good é text\n".repeat(10_000).into_bytes();
    bytes.extend_from_slice(b"bad \xFF\xE2\x82 text\n");
    bytes.extend_from_slice("more é text\n".repeat(200).as_bytes());
    bytes.extend_from_slice(b"cut \xF0\x9F\x98");
    served.write("file", &bytes);
    let pages = served.read_all(&json!({ "path": "/file" }));
    let text = check_pages("broken", &pages, 2_000, bytes.len() as u64);
    assert_eq!(text, String::from_utf8_lossy(&bytes));
    let lossy: Vec<bool> = pages.iter().map(|page| page.structured.get("lossy") == Some(&Value::Bool(true))).collect();
    assert_eq!(lossy, pages.iter().map(|page| page.text().contains('\u{FFFD}')).collect::<Vec<_>>());
    assert!(lossy.iter().any(|lossy| *lossy) && !lossy[0]);
    // Surrogates without their halves, and half a unit at the end.
    let wide: Vec<u8> = [0xFEFF, 0x41, 0xD83D, 0x42, 0xDE00].into_iter().flat_map(u16::to_le_bytes).chain([0x43]).collect();
    served.write("wide", &wide);
    let page = served.read(&json!({ "path": "/wide" }));
    assert_eq!((page.text(), page.number("byte_length")), ("A\u{FFFD}B\u{FFFD}\u{FFFD}", 11));
}

#[test]
fn any_file_can_be_had_in_base64() {
    let served = Served::with_budget(2_000);
    let bytes: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).chain([7]).collect();
    served.write("file.bin", &bytes);
    let pages = served.read_all(&json!({ "path": "/file.bin", "as": "base64" }));
    let joined = check_pages("base64", &pages, 2_000, bytes.len() as u64);
    assert_eq!(BASE64.decode(joined).unwrap(), bytes, "the joined texts decode as one");
    let pages = served.read_all(&json!({ "path": "/file.bin", "as": "base64", "byte_offset": 39_000, "byte_limit": 100 }));
    assert_eq!(pages.len(), 11);
    let decoded: Vec<u8> = pages.iter().flat_map(|page| BASE64.decode(page.text()).unwrap()).collect();
    assert_eq!(decoded, bytes[39_000..]);
}

#[test]
fn binary_files_are_described() {
    let served = Served::new();
    served.write("data.bin", b"\0\x01\x02".repeat(100));
    let page = served.read(&json!({ "path": "/data.bin" }));
    assert_eq!((page.content.len(), &page.structured["shown"]), (1, &json!("nothing")));
    assert!(page.summary().contains("300 bytes") && page.summary().contains("\"as\": \"base64\""), "{}", page.summary());
    served.write("nul.txt", b"a\0b\n".repeat(3));
    assert_eq!(served.read(&json!({ "path": "/nul.txt", "as": "text" })).text(), "a\0b\n".repeat(3));
}

#[test]
fn images_are_shown_as_far_as_they_fit() {
    let served = Served::new();
    let png = [b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR".as_slice(), &[0; 500]].concat();
    let jpeg = [b"\xFF\xD8\xFF\xE0\0\x10JFIF\0".as_slice(), &[1; 500]].concat();
    let gif = [b"GIF89a".as_slice(), &[0; 500]].concat();
    let webp = [b"RIFF\0\x02\0\0WEBPVP8 ".as_slice(), &[0; 500]].concat();
    for (bytes, mime_type) in [(png.clone(), "image/png"), (jpeg, "image/jpeg"), (gif, "image/gif"), (webp, "image/webp")] {
        // The name says nothing: the content decides.
        served.write("picture.dat", &bytes);
        let page = served.read(&json!({ "path": "/picture.dat" }));
        let image = Content::Image { data: BASE64.encode(&bytes), mime_type: mime_type.to_owned() };
        assert_eq!(page.content[0], image);
        assert_eq!((&page.structured["shown"], &page.structured["mime_type"]), (&json!("image"), &json!(mime_type)));
    }
    let budget = 40_000;
    for size in [28_000, 28_900, 29_000, 29_100, 29_500, 30_000, 1_000_000] {
        let mut large = png.clone();
        large.resize(size, 7);
        served.write("large.png", &large);
        let page = served.read(&json!({ "path": "/large.png" }));
        assert!(page.bytes <= budget, "{size}: {} bytes", page.bytes);
        let is_shown = page.structured["shown"] == "image";
        assert_eq!(is_shown, matches!(page.content[0], Content::Image { .. }));
        assert!(is_shown || size > 28_000);
        assert!(!is_shown || size < 30_000);
    }
}

#[test]
fn the_worst_path_and_text_keep_to_the_budget() {
    let served = Served::new();
    let name = "\u{1}".repeat(255);
    let folder = format!("{name}/{name}/{name}/{name}/{name}");
    served.write(&format!("{folder}/file"), "\u{1}".repeat(100_000));
    let first = served.read(&json!({ "path": format!("/{folder}/file") }));
    assert!(first.bytes <= 40_000 && first.bytes > 35_000, "{}", first.bytes);
    assert!(!first.summary().contains(char::is_control));
    let small = Served::with_budget(4_000);
    small.write(&format!("{folder}/file"), "text");
    for tool in ["read_file", "get_file_info"] {
        let arguments = json!({ "path": format!("/{folder}/file") });
        let error = small.call(&crate::support::full(), tool, &arguments).unwrap_err();
        assert_eq!(error.kind(), ToolErrorKind::TooLarge);
    }
}

#[test]
fn a_page_far_into_a_huge_file_costs_one_page() {
    let served = Served::new();
    served.write("huge", "text at the start\n".repeat(10_000));
    let mut file = fs::OpenOptions::new().write(true).open(served.at("huge")).unwrap();
    let size: u64 = 10 << 30;
    file.seek(SeekFrom::Start(size - 8)).unwrap();
    file.write_all(b"the end\n").unwrap();
    let begin = Instant::now();
    let page = served.read(&json!({ "path": "/huge", "byte_offset": size - 8 }));
    assert_eq!((page.text(), page.next_cursor()), ("the end\n", None));
    let page = served.read(&json!({ "path": "/huge" }));
    assert!(page.next_cursor().is_some());
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}
