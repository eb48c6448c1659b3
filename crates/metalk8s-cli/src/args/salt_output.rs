//! Options that say how the `salt` commands print.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use metalk8s_diagnostics::Paint;
use metalk8s_saltcompat::output::{Form, Indent, Out, StateOutput};

/// How results are printed.
#[derive(Debug, Args)]
pub struct SaltOutput {
    /// Form of the result: nested, highstate, json, yaml, txt, raw, newline_values_only, quiet
    #[arg(long, alias = "output", value_name = "FORM", default_value = "nested")]
    pub out: Out,
    /// Indentation of JSON and YAML; a negative number puts all on a line
    #[arg(long, aliases = ["output-indent", "output_indent", "out_indent"], value_name = "BLANKS", allow_hyphen_values = true)]
    pub out_indent: Option<i64>,
    /// A file that results are written to, instead of stdout
    #[arg(long, aliases = ["output-file", "out_file"], value_name = "FILE")]
    pub out_file: Option<PathBuf>,
    /// With --out-file: what is in the file stays, and results come after it
    #[arg(long, aliases = ["output-file-append", "out_file_append"], requires = "out_file")]
    pub out_file_append: bool,
    /// How much is printed of each state: full, terse, mixed, changes
    #[arg(long, alias = "state_output", value_name = "DETAIL", default_value = "full")]
    pub state_output: StateOutput,
    /// Without colours, which are only for a terminal anyway; NO_COLOR means the same
    #[arg(long, alias = "no-colour", action = ArgAction::SetTrue)]
    pub no_color: bool,
    /// With colours, also where the output is no terminal
    #[arg(long, alias = "force-colour", action = ArgAction::SetTrue, conflicts_with = "no_color")]
    pub force_color: bool,
}

impl SaltOutput {
    /// The form of all results; `usual` says whether the output takes colours.
    pub fn form(&self, usual: Paint) -> Form {
        Form {
            out: self.out,
            detail: self.state_output,
            indent: self.out_indent.map_or_else(Indent::default, Indent::from),
            paint: match (self.force_color, self.no_color) {
                (true, _) => Paint::new(true),
                (false, true) => Paint::new(false),
                (false, false) => usual,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        output: SaltOutput,
    }

    fn form(words: &[&str]) -> Form {
        let read = Alone::try_parse_from([&["salt"], words].concat()).unwrap();
        read.output.form(Paint::new(true))
    }

    #[test]
    fn the_form_is_what_was_asked_for() {
        assert_eq!(form(&["--out=json", "--out-indent", "-1"]).indent, Indent::Line);
        assert_eq!(form(&["--out-indent=2"]).indent, Indent::Blanks(2));
        assert_eq!(form(&[]).indent, Indent::Usual);
        assert_eq!(form(&["--state-output", "mixed"]).detail, StateOutput::Mixed);
        assert_eq!(form(&[]).paint, Paint::new(true));
        assert_eq!(form(&["--no-color"]).paint, Paint::new(false));
        let forced = Alone::try_parse_from(["salt", "--force-color"]).unwrap();
        assert_eq!(forced.output.form(Paint::new(false)).paint, Paint::new(true));
        assert!(Alone::try_parse_from(["salt", "--out-file=x", "--out-file-append"]).is_ok());
        assert!(Alone::try_parse_from(["salt", "--out-file-append"]).is_err());
    }
}
