//! Colours, which only repeat what the words already say.

use std::{env, io::IsTerminal};

/// Whether colours are wanted on this stream: it is a terminal, `NO_COLOR` is unset or empty
/// (<https://no-color.org>) and `TERM` is not `dumb`.
pub fn colours_wanted(stream: &impl IsTerminal) -> bool {
    wanted(stream.is_terminal(), env::var("NO_COLOR").ok().as_deref(), env::var("TERM").ok().as_deref())
}

fn wanted(terminal: bool, no_color: Option<&str>, term: Option<&str>) -> bool {
    terminal && no_color.is_none_or(str::is_empty) && term != Some("dumb")
}

/// Colours a text, or leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colours when `on`.
    pub const fn new(on: bool) -> Self {
        Self { on }
    }

    /// Something is well, or new.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// Something is wrong, or goes.
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// Something to look at.
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// Something that was changed, or a name.
    pub fn cyan(self, text: &str) -> String {
        self.with("36", text)
    }

    /// A label.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Paint, wanted};

    #[test]
    fn no_color_a_pipe_and_a_dumb_terminal_turn_colours_off() {
        assert!(wanted(true, None, Some("xterm")));
        assert!(wanted(true, Some(""), None));
        assert!(!wanted(true, Some("1"), None));
        assert!(!wanted(false, None, None));
        assert!(!wanted(true, None, Some("dumb")));
    }

    #[test]
    fn text_is_unchanged_without_colours() {
        assert_eq!(Paint::new(false).red("fail"), "fail");
        assert_eq!(Paint::new(true).red("fail"), "\u{1b}[31mfail\u{1b}[0m");
    }
}
