//! Results as Markdown tables, as docs/benchmarks.md has them.

/// Rows under a head; the first column is text, the others are figures.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(ToOwned::to_owned).to_vec()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.first().map_or(0, Vec::len);
        (0..columns).map(|column| self.rows.iter().map(|row| width(row, column)).max().unwrap_or(0)).collect()
    }

    /// Writes it to stdout.
    #[expect(clippy::print_stdout, reason = "a benchmark's table is its output")]
    pub fn print(&self) {
        let widths = self.widths();
        for (number, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(cell).collect();
            println!("| {} |", cells.join(" | "));
            if number == 0 {
                let rules: Vec<String> = widths.iter().enumerate().map(rule).collect();
                println!("| {} |", rules.join(" | "));
            }
        }
    }
}

/// Markdown wants three dashes under each column.
fn width(row: &[String], column: usize) -> usize {
    row.get(column).map_or(0, |cell| cell.chars().count()).max(3)
}

fn cell((column, (text, width)): (usize, (&String, &usize))) -> String {
    if column == 0 { format!("{text:<width$}") } else { format!("{text:>width$}") }
}

fn rule((column, width): (usize, &usize)) -> String {
    if column == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) }
}

/// A duration in milliseconds, to a tenth.
pub fn milliseconds(duration: std::time::Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1_000.0)
}
