//! Naming series as ERPNext writes them: `SAL-ORD-.YYYY.-` or `INV-.YY..MM.-.####`.
/// placeholder
#[derive(Debug, Clone, PartialEq)]
pub struct Series;
/// placeholder
pub struct SeriesPart;
