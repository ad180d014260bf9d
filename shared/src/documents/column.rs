//! Field names as Frappe's clients write them in `fields`, filters and `order_by`.

use super::DocType;
use crate::{Error, Result};

/// The longest field name, in bytes.
const MAX_FIELD_BYTES: usize = 140;

/// A field, and the DocType it was said to be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The DocType that stands before it, if one does and it is not the list's own.
    pub child: Option<DocType>,
    /// The field's name.
    pub field: String,
}

impl Column {
    /// Reads `field`, `` `field` `` or `` `tabDocType`.`field` `` of a list of `doctype`; the error is about `input`.
    pub fn read(text: &str, doctype: &DocType, input: &str) -> Result<Self> {
        let text = text.trim();
        let (table, field) = match text.strip_prefix('`').unwrap_or(text).strip_prefix("tab") {
            Some(rest) if rest.contains('.') => {
                let (table, field) = rest.split_once('.').unwrap_or((rest, ""));
                (Some(table.trim_end_matches('`')), field)
            }
            _ => (None, text),
        };
        let field = field.strip_prefix('`').and_then(|field| field.strip_suffix('`')).unwrap_or(field);
        check(field, input)?;
        let child = table.map(DocType::new).transpose().map_err(|error| error.at(input))?;
        Ok(Self { child: child.filter(|child| child != doctype), field: field.to_owned() })
    }
}

fn check(field: &str, input: &str) -> Result<()> {
    let foreign = |c: char| c.is_whitespace() || c.is_control() || "`().,*'\"".contains(c);
    if field.is_empty() || field.contains(foreign) {
        return Err(Error::field(
            input,
            "invalid",
            format!(
                "{field:?} is not a field's name; functions, aliases and paths into child tables are not supported"
            ),
        ));
    }
    if field.len() > MAX_FIELD_BYTES {
        let detail = format!("a field's name has at most {MAX_FIELD_BYTES} bytes");
        return Err(Error::field(input, "too_long", detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Column> {
        Column::read(text, &DocType::new("Sales Order").unwrap(), "fields")
    }

    #[test]
    fn a_field_is_named_with_and_without_its_table() {
        for text in ["status", " `status` ", "`tabSales Order`.`status`", "`tabSales Order`.status"] {
            assert_eq!(read(text).unwrap(), Column { child: None, field: "status".into() }, "{text}");
        }
        let child = Some(DocType::new("Sales Order Item").unwrap());
        assert_eq!(read("`tabSales Order Item`.`qty`").unwrap(), Column { child, field: "qty".into() });
        assert_eq!(read("table_no").unwrap().field, "table_no");
    }

    #[test]
    fn what_is_no_field_is_refused_by_the_name_of_its_input() {
        for text in ["", "*", "count(name)", "name as x", "items.item_code", "`a`b`", "a, b", "`tabX`.`"] {
            let error = read(text).unwrap_err();
            assert_eq!(error.field_errors()[0].field, "fields", "{text}");
        }
        assert_eq!(read(&"x".repeat(141)).unwrap_err().field_errors()[0].code, "too_long");
    }
}
