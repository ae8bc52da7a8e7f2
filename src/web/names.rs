//! Names that people give to sources: one at a time, or many as CSV.

use crate::domain::{Source, SourceKind, Text};
use crate::wire::ID_BYTES_MAX;

/// The longest name, in characters.
pub const NAME_MAX: usize = 200;

/// A source and its name; `None` removes the name.
pub type Named = (Source, Option<Text>);

/// Checks a name that somebody typed.
///
/// # Errors
/// A message for people: which part is wrong.
pub fn named(kind: &str, id: &str, name: &str) -> Result<Named, String> {
    let (kind, id, name) = (kind.trim(), id.trim(), name.trim());
    let known = SourceKind::parse(kind)
        .ok_or_else(|| format!("unknown source kind `{kind}`; use campaign, broadcast, newsletter or transactional"))?;
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(format!("the ID of a {kind} must have 1 to {ID_BYTES_MAX} bytes"));
    }
    if name.chars().count() > NAME_MAX {
        return Err(format!("the name of {kind} {id} is longer than {NAME_MAX} characters"));
    }
    if name.chars().any(char::is_control) {
        return Err(format!("the name of {kind} {id} must be a single line"));
    }
    Ok((Source { kind: known, id: id.into() }, Some(Text::from(name)).filter(|name| !name.is_empty())))
}

/// Reads names from CSV with the columns kind, id and name, in any order and among others. The names that Waybill's own
/// downloads use (`source_kind`, `source_id`, `source_name`) work too; their rows of the unknown source are skipped.
///
/// # Errors
/// A message for people with the first invalid line. No name of the file should be stored then.
pub fn read_csv(bytes: &[u8]) -> Result<Vec<Named>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut columns: Option<[usize; 3]> = None;
    let mut names = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| match error.kind() {
            csv::ErrorKind::Utf8 { .. } => "the file is not UTF-8; save it as UTF-8".to_owned(),
            _ => error.to_string(),
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let Some([kind, id, name]) = columns else {
            let place = |names: [&str; 2]| record.iter().position(|cell| names.contains(&&*cell.trim().to_lowercase()));
            let headed =
                place(["kind", "source_kind"]).zip(place(["id", "source_id"])).zip(place(["name", "source_name"]));
            let Some(((kind, id), name)) = headed else {
                return Err("the first line must name the columns: kind,id,name".into());
            };
            columns = Some([kind, id, name]);
            continue;
        };
        let cell = |place: usize| record.get(place).unwrap_or_default();
        if cell(kind).trim() == "unknown" {
            continue;
        }
        names.push(named(cell(kind), cell(id), cell(name)).map_err(|what| format!("line {line}: {what}"))?);
    }
    if columns.is_none() {
        return Err("the file is empty; its first line must name the columns: kind,id,name".into());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(read: &[Named]) -> Vec<String> {
        let one = |(source, name): &Named| format!("{} {} {name:?}", source.kind.name(), source.id);
        read.iter().map(one).collect()
    }

    #[test]
    fn names_are_read_from_csv() {
        let read = read_csv(
            "\u{feff}kind,id,name\ncampaign,8,\"Password, reset\"\n newsletter , 3 , Ü \nbroadcast,2,\n".as_bytes(),
        );
        assert_eq!(
            texts(&read.unwrap()),
            ["campaign 8 Some(\"Password, reset\")", "newsletter 3 Some(\"Ü\")", "broadcast 2 None"]
        );
    }

    #[test]
    fn a_download_of_waybill_is_accepted() {
        let csv = b"source_kind,source_id,source_name,created\ncampaign,8,Reset,5\nunknown,,,2\n";
        assert_eq!(texts(&read_csv(csv).unwrap()), ["campaign 8 Some(\"Reset\")"]);
    }

    #[test]
    fn errors_name_the_line() {
        let long = format!("kind,id,name\ncampaign,8,{}\n", "x".repeat(201));
        for (csv, part) in [
            (&b""[..], "empty"),
            (b"campaign,8,Reset\n", "first line"),
            (b"kind,id,name\ncampaign,8,Reset\ncompany,9,X\n", "line 3: unknown source kind `company`"),
            (b"kind,id,name\ncampaign,,Reset\n", "line 2: the ID"),
            (b"kind,id,name\ncampaign,8,\"a\nb\"\n", "single line"),
            (b"kind,id,name\ncampaign,8,\xff\n", "UTF-8"),
            (long.as_bytes(), "longer than 200"),
        ] {
            let error = read_csv(csv).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
