//! Halves of surrogate pairs, which senders make by cutting text within an emoji. No string can hold one, so serde_json
//! refuses the JSON that has it.

/// The text with every lone surrogate escape written as `\ufffd`; `None` where there is none.
pub(super) fn mended(text: &str) -> Option<String> {
    let mut mended = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(found) = text.get(at..)?.find('\\') {
        let escape = at + found;
        match unit(text, escape) {
            // a pair
            Some(0xD800..=0xDBFF) if matches!(unit(text, escape + 6), Some(0xDC00..=0xDFFF)) => at = escape + 12,
            Some(0xD800..=0xDFFF) => {
                mended.push_str(&text[kept..escape]);
                mended.push_str("\\ufffd");
                at = escape + 6;
                kept = at;
            }
            _ => at = escape + 2,
        }
    }
    (kept > 0).then(|| mended + &text[kept..])
}

/// The UTF-16 unit that an escape at this place stands for.
fn unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}
