//! Items: a row for each way an item is found, each with all that a list shows of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    super::{
        Projection,
        contribution::{Piece, RowKey},
        fields::Reader,
        key::part,
    },
    words::{prefix, words_of},
};
use crate::{
    Result,
    documents::Document,
    dynamo::{json, shard},
};

/// The longest description and image address a list shows, in bytes: a row is to stay within one write unit.
const MAX_SHOWN_BYTES: usize = 300;
/// How much of an item's name orders its group, in bytes.
const MAX_PLACE_BYTES: usize = 200;

/// The projection of Items.
pub const ITEMS: Projection = Projection { name: "items", doctype: "Item", version: 1, pieces, lane: None };

/// What a list shows of an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemRow {
    /// Its code, which is the document's name.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its description, the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The unit it is stocked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uom: Option<String>,
    /// Its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What it costs without a price list, a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// Whether there is a stock of it (a service has none).
    pub stocked: bool,
    /// The words it is found by, in order.
    pub words: BTreeSet<String>,
}

/// The partition of words that begin with `prefix`, in a shard.
pub fn word_partition(prefix: &str, shard: u32) -> Result<String> {
    Ok(format!("IT#{}#{shard}", part(prefix)?))
}

/// The partition of a group, in a shard.
pub fn group_partition(group: &str, shard: u32) -> Result<String> {
    Ok(format!("IG#{}#{shard}", part(group)?))
}

/// The partition of all items, in a shard.
pub fn list_partition(shard: u32) -> String {
    format!("IL#{shard}")
}

/// An item that is sold: not disabled, not a template of variants.
fn pieces(document: &Document) -> Result<Vec<Piece>> {
    let fields = Reader::of(document);
    let sold = !fields.check("disabled", false)?
        && fields.check("is_sales_item", true)?
        && !fields.check("has_variants", false)?;
    if !sold {
        return Ok(Vec::new());
    }
    let row = row(document, fields)?;
    let (code, shard) = (part(&row.code)?, shard(&row.code));
    let body = json(&row)?;
    let at = |pk: String, sk: String| Piece::Row { key: RowKey { pk, sk }, body: body.clone() };
    let mut pieces = vec![at(list_partition(shard), code.clone())];
    if let Some(group) = &row.group {
        let name = beginning(&row.name, MAX_PLACE_BYTES).to_lowercase();
        pieces.push(at(group_partition(group, shard)?, format!("{}#{code}", part(&name)?)));
    }
    for word in &row.words {
        pieces.push(at(word_partition(&prefix(word), shard)?, format!("{}#{code}", part(word)?)));
    }
    Ok(pieces)
}

fn row(document: &Document, fields: Reader<'_>) -> Result<ItemRow> {
    let code = document.key.name.as_str().to_owned();
    let name = fields.text("item_name")?.unwrap_or_else(|| code.clone());
    let barcodes = fields.rows("barcodes")?;
    let barcodes = barcodes.into_iter().map(|row| row.text("barcode")).collect::<Result<Vec<_>>>()?;
    let texts = [code.as_str(), &name].into_iter().chain(barcodes.iter().flatten().map(String::as_str));
    Ok(ItemRow {
        words: words_of(texts),
        description: fields.text("description")?.map(|text| cut(&text)),
        uom: fields.text("stock_uom")?,
        group: fields.text("item_group")?,
        image: fields.text("image")?.filter(|image| image.len() <= MAX_SHOWN_BYTES),
        rate: fields.decimal("standard_rate")?.map(|rate| rate.to_string()),
        stocked: fields.check("is_stock_item", true)?,
        code,
        name,
    })
}

fn cut(text: &str) -> String {
    let kept = beginning(text, MAX_SHOWN_BYTES);
    if kept.len() == text.len() { text.to_owned() } else { format!("{kept}…") }
}

/// The beginning of `text`, at most `bytes` long.
fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    &text[..end]
}
