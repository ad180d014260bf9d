//! The tree of item groups: a group's items are those of the groups below it too.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::{
    Projection, Range, ReadModels,
    contribution::{Piece, ROW, RowKey},
    fields::Reader,
    key::{part, text},
};
use crate::{Error, Result, documents::Document, dynamo::json};

/// The projection of Item Groups.
pub const GROUPS: Projection =
    Projection { name: "item_groups", doctype: "Item Group", version: 1, pieces, lane: None };

/// The most groups a list goes through; beyond them it is partial.
pub const MAX_GROUPS: usize = 200;
/// How deep it goes.
const MAX_DEPTH: usize = 10;
/// The most groups a tree has, in reads of a page of 1,000.
const MAX_PAGES: usize = 10;
const PAGE: usize = 1_000;

/// The partition of the tree.
const TREE: &str = "GT";

#[derive(Debug, Serialize, Deserialize)]
struct GroupRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
}

fn pieces(document: &Document) -> Result<Vec<Piece>> {
    let parent = Reader::of(document).text("parent_item_group")?;
    let key = RowKey { pk: TREE.to_owned(), sk: part(document.key.name.as_str())? };
    Ok(vec![Piece::Row { key, body: json(&GroupRow { parent })? }])
}

/// All groups, by their parents.
#[derive(Debug, Default)]
pub struct Tree {
    parents: BTreeMap<String, Option<String>>,
    children: BTreeMap<String, Vec<String>>,
}

/// Groups in the order of the tree, and whether a limit left some out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The groups' names.
    pub groups: Vec<String>,
    /// Whether there are more.
    pub partial: bool,
}

impl Tree {
    /// Reads the tree.
    pub async fn read(models: &dyn ReadModels) -> Result<Self> {
        let mut parents = BTreeMap::new();
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let range = Range {
                partition: TREE.to_owned(),
                low: " ".to_owned(),
                high: '\u{10FFFF}'.to_string(),
                after,
                limit: PAGE,
            };
            let page = models.rows(&range).await?;
            after = page.rows.last().map(|row| row.key.sk.clone());
            for row in page.rows {
                let body = row.values.get(ROW).ok_or_else(|| Error::internal("a group's row is empty"))?;
                let group: GroupRow = serde_json::from_str(body).map_err(Error::internal)?;
                parents.insert(text(&row.key.sk), group.parent);
            }
            if !page.more {
                break;
            }
        }
        Ok(Self::of(parents))
    }

    fn of(parents: BTreeMap<String, Option<String>>) -> Self {
        let mut children: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, parent) in &parents {
            if let Some(parent) = parent {
                children.entry(parent.clone()).or_default().push(name.clone());
            }
        }
        Self { parents, children }
    }

    /// Whether every group is below `group`, so that its items are all items.
    pub fn is_root(&self, group: &str) -> bool {
        let mut roots = self.parents.iter().filter(|(_, parent)| parent.is_none());
        roots.next().is_some_and(|(root, _)| root == group) && roots.next().is_none()
    }

    /// `group` and what is below it.
    pub fn branch(&self, group: &str) -> Branch {
        let mut branch = Branch { groups: Vec::new(), partial: false };
        let mut seen = BTreeSet::new();
        self.descend(group, 0, &mut seen, &mut branch);
        branch
    }

    fn descend<'a>(
        &'a self,
        group: &'a str,
        depth: usize,
        seen: &mut BTreeSet<&'a str>,
        branch: &mut Branch,
    ) {
        if depth > MAX_DEPTH || branch.groups.len() == MAX_GROUPS {
            branch.partial = true;
            return;
        }
        // A group that is its own ancestor, by mistake, is gone through once.
        if seen.insert(group) {
            branch.groups.push(group.to_owned());
            for child in self.children.get(group).into_iter().flatten() {
                self.descend(child, depth + 1, seen, branch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(edges: &[(&str, Option<&str>)]) -> Tree {
        let parent = |parent: Option<&str>| parent.map(ToOwned::to_owned);
        Tree::of(edges.iter().map(|(name, above)| ((*name).to_owned(), parent(*above))).collect())
    }

    #[test]
    fn a_branch_is_the_group_and_what_is_below_it() {
        let tree = tree(&[
            ("All", None),
            ("Food", Some("All")),
            ("Fruit", Some("Food")),
            ("Bread", Some("Food")),
            ("Tools", Some("All")),
        ]);
        assert_eq!(tree.branch("Food").groups, ["Food", "Bread", "Fruit"]);
        assert_eq!(tree.branch("unknown").groups, ["unknown"]);
        assert!(tree.is_root("All") && !tree.is_root("Food"));
    }

    #[test]
    fn a_circle_and_a_large_tree_come_to_an_end() {
        let circle = tree(&[("A", Some("B")), ("B", Some("A"))]);
        assert_eq!(circle.branch("A"), Branch { groups: vec!["A".into(), "B".into()], partial: false });
        let names: Vec<String> = (0..300).map(|i| format!("g{i}")).collect();
        let edges: Vec<(&str, Option<&str>)> =
            names.iter().map(|name| (name.as_str(), Some("All"))).collect();
        let branch = tree(&edges).branch("All");
        assert!(branch.partial && branch.groups.len() == MAX_GROUPS);
    }
}
