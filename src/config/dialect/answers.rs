//! What final answers mean to a peer. The keys of `[trunk.NAME]` for it.

use crate::config::reader::{Complaint, Table, quoted};
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Answers;
use crate::trunk::dialect::answers::{Code, Codes};

pub(super) fn read(table: &mut Table<'_>, kind: TrunkKind) -> Answers {
    let default = Answers::of_kind(kind);
    Answers {
        from: codes(table, "answers_from").over(&default.from),
        to: codes(table, "answers_to").over(&default.to),
        drop_connection: table.boolean("drop_on_503").map_or(default.drop_connection, |flag| flag.value),
    }
}

fn codes(table: &mut Table<'_>, key: &'static str) -> Codes {
    let codes = table.parsed_list(key, |text| {
        code(text).ok_or_else(|| {
            let message = format!("{} is not two codes", quoted(text));
            Complaint::new(message).help("write `401=503`, or `5xx=503` for all from 500 to 599")
        })
    });
    Codes::new(codes.unwrap_or_default().into_iter().map(|code| code.value).collect())
}

/// Reads `401=503` or `5xx=503`.
fn code(text: &str) -> Option<Code> {
    let (what, becomes) = text.split_once('=')?;
    let final_code = |text: &str| {
        let code: u16 = text.trim().parse().ok()?;
        (300..700).contains(&code).then_some(code)
    };
    let what = match what.trim().strip_suffix("xx") {
        Some(class) => class.parse().ok().filter(|class| (3..7).contains(class))?,
        None => final_code(what)?,
    };
    Some(Code { what, becomes: final_code(becomes)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_classes_are_read_and_anything_else_is_refused() {
        assert_eq!(code("401=503"), Some(Code { what: 401, becomes: 503 }));
        assert_eq!(code(" 5xx = 503 "), Some(Code { what: 5, becomes: 503 }));
        for wrong in ["", "401", "401=", "200=503", "401=200", "2xx=503", "7xx=503", "xx=503", "401=700", "401>503"] {
            assert_eq!(code(wrong), None, "{wrong}");
        }
    }
}
