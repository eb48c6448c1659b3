//! Tables for people.

use crate::Paint;

/// A word with the colour it is shown in.
#[derive(Clone)]
pub struct Cell {
    word: String,
    colour: Option<fn(Paint, &str) -> String>,
}

/// Columns as wide as their widest word; what is coloured is not counted wider.
pub struct Table<const COLUMNS: usize> {
    rows: Vec<[Cell; COLUMNS]>,
}

impl Cell {
    /// A word without a colour; a dash where there is none.
    pub fn plain(word: &str) -> Self {
        Self { word: if word.is_empty() { "-" } else { word }.to_owned(), colour: None }
    }

    /// A word in a colour.
    pub fn painted(word: &str, colour: fn(Paint, &str) -> String) -> Self {
        Self { word: word.to_owned(), colour: Some(colour) }
    }

    /// The word as it is printed alone.
    pub fn text(&self, paint: Paint) -> String {
        self.colour.map_or_else(|| self.word.clone(), |colour| colour(paint, &self.word))
    }
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table with nothing but its heading.
    pub fn new(titles: [&str; COLUMNS]) -> Self {
        Self { rows: vec![titles.map(|title| Cell::painted(title, Paint::bold))] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [Cell; COLUMNS]) {
        self.rows.push(cells);
    }

    /// All of it, each row ended by a line break.
    pub fn text(&self, paint: Paint) -> String {
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].word.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                text.push_str(&cell.text(paint));
                if column + 1 < COLUMNS {
                    text.push_str(&" ".repeat(width - cell.word.chars().count() + 2));
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_one_another_whatever_their_colour() {
        let mut table = Table::new(["A", "B"]);
        table.row([Cell::painted("long", Paint::green), Cell::plain("x")]);
        table.row([Cell::plain(""), Cell::plain("y")]);
        assert_eq!(table.text(Paint::new(false)), "A     B\nlong  x\n-     y\n");
        let coloured = table.text(Paint::new(true));
        assert!(coloured.contains("\u{1b}[32mlong\u{1b}[0m  x\n"), "{coloured:?}");
    }
}
