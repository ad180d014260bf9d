//! DocTypes: which fields documents have and how they are named. The site's own are read from `doctypes.txt`; tests
//! register more. A Custom Field is added here when its document is inserted.

use std::collections::BTreeMap;

/// How a DocType names its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// The caller's `name`, and no other.
    Prompt,
    /// A counter after a prefix: `SAL-ORD-.YYYY.-`. A `naming_series` in the document comes first.
    Series(String),
    /// The value of a field; a second document of that name is refused.
    Field(String),
    /// The value of a field; a second document of that name becomes `X - 1`.
    Repeating(String),
    /// Ten random letters and digits.
    Hash,
    /// `{dt}-{fieldname}`: Custom Field.
    CustomField,
    /// Rows of a table, which have a random name.
    Child,
    /// One document, called as the DocType.
    Single,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Text of at most 140 characters.
    Data,
    /// Text of any length.
    Text,
    /// A whole number, or 0 and 1.
    Int,
    /// A number with a fraction.
    Float,
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// A time in the site's zone.
    Datetime,
    /// The name of a document of this DocType.
    Link(String),
    /// Rows of this DocType.
    Table(String),
}

/// A field of a DocType.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name in documents.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Refused without a value.
    pub mandatory: bool,
    /// What a new document has; `Today` and `Now` are the site's.
    pub default: Option<String>,
    /// No two documents have the same value; none is no value.
    pub unique: bool,
    /// May change after the document was submitted.
    pub allow_on_submit: bool,
    /// What people call it.
    pub label: String,
}

/// A kind of document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocType {
    /// Its name.
    pub name: String,
    /// How documents are named.
    pub naming: Naming,
    /// The fields in the order they are shown.
    pub fields: Vec<Field>,
    /// Whether documents keep fields that are not among `fields`. No DocType of ERPNext does; it spares a test from
    /// listing what it does not care about. Fields called `custom_…` and `causeway_…` never come into being this way.
    pub open: bool,
}

/// `po_no` → `Po No`, as Frappe makes a label.
pub fn label(field: &str) -> String {
    field
        .split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        })
        .collect::<Vec<String>>()
        .join(" ")
}

impl Field {
    /// A field that holds text, unless told otherwise.
    pub fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            mandatory: false,
            default: None,
            unique: false,
            allow_on_submit: false,
            label: label(name),
        }
    }

    /// `fieldname kind [options] [!] [= default]`
    fn read(line: &str) -> Option<Self> {
        let (head, default) = match line.split_once(" =") {
            Some((head, default)) => (head, Some(default.trim().to_owned())),
            None => (line, None),
        };
        let (head, mandatory) = match head.trim().strip_suffix(" !") {
            Some(head) => (head, true),
            None => (head.trim(), false),
        };
        let (name, kind) = head.split_once(' ')?;
        let (kind, options) = kind.split_once(' ').unwrap_or((kind, ""));
        let kind = Kind::of(kind, options);
        Some(Self { mandatory, default, ..Self::new(name, kind) })
    }
}

impl Kind {
    /// From a field type of Frappe.
    pub fn of(fieldtype: &str, options: &str) -> Self {
        match fieldtype {
            "Int" | "Check" => Self::Int,
            "Float" | "Currency" | "Percent" => Self::Float,
            "Date" => Self::Date,
            "Time" => Self::Time,
            "Datetime" => Self::Datetime,
            "Link" => Self::Link(options.to_owned()),
            "Table" => Self::Table(options.to_owned()),
            "Text" | "Small Text" | "Long Text" | "Text Editor" | "Code" | "JSON" | "HTML Editor" => {
                Self::Text
            }
            _ => Self::Data,
        }
    }
}

impl DocType {
    /// A DocType that takes the name it is given and keeps every field.
    pub fn prompt(name: &str) -> Self {
        Self { name: name.to_owned(), naming: Naming::Prompt, fields: Vec::new(), open: true }
    }

    /// A DocType that numbers its documents and keeps every field.
    pub fn series(name: &str, series: &str) -> Self {
        let field = Field { default: Some(series.to_owned()), ..Field::new("naming_series", Kind::Data) };
        Self {
            name: name.to_owned(),
            naming: Naming::Series(series.to_owned()),
            fields: vec![field],
            open: true,
        }
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// With only the fields listed.
    #[must_use]
    pub fn closed(mut self) -> Self {
        self.open = false;
        self
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether a document keeps a field of this name.
    pub fn keeps(&self, name: &str) -> bool {
        self.field(name).is_some()
            || (self.open && !name.starts_with("custom_") && !name.starts_with("causeway_"))
    }

    /// The fields that hold rows, with the rows' DocType.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().filter_map(|field| match &field.kind {
            Kind::Table(child) => Some((field.name.as_str(), child.as_str())),
            _ => None,
        })
    }
}

fn naming(text: &str) -> Naming {
    match text.split(' ').collect::<Vec<_>>().as_slice() {
        ["series", series] => Naming::Series((*series).to_owned()),
        ["named", field] => Naming::Field((*field).to_owned()),
        ["named", field, "repeats"] => Naming::Repeating((*field).to_owned()),
        ["custom"] => Naming::CustomField,
        ["child"] => Naming::Child,
        ["single"] => Naming::Single,
        ["prompt"] => Naming::Prompt,
        _ => Naming::Hash,
    }
}

/// The DocTypes that every site has.
pub fn built_in() -> BTreeMap<String, DocType> {
    let mut doctypes = BTreeMap::new();
    let mut current: Option<DocType> = None;
    for line in include_str!("../doctypes.txt").lines() {
        if let Some((name, how)) = line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
            if let Some(done) = current.take() {
                doctypes.insert(done.name.clone(), done);
            }
            let (name, naming) = (name.to_owned(), naming(how));
            current = Some(DocType { name, naming, fields: Vec::new(), open: false });
        } else if let (Some(doctype), Some(field)) = (&mut current, Field::read(line)) {
            doctype.fields.push(field);
        }
    }
    doctypes.extend(current.map(|last| (last.name.clone(), last)));
    doctypes
}
