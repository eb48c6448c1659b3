//! Archives are added to the text that a person wrote; every other character of it stays.

use std::{ops::Range, path::PathBuf};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::BootstrapConfiguration;

/// The file says `archives` in a way to which nothing can be added without writing it anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`archives` is written in a form to which no program can add")]
pub struct Uneditable;

/// How `archives` is written, with its place in bytes.
enum Written {
    /// `archives: /a.iso`
    One(Range<usize>),
    /// `archives: [/a.iso]`; the place of the last item.
    Flow(Range<usize>),
    /// A line with a dash for each; the place of the last item.
    Block(Range<usize>),
}

impl BootstrapConfiguration {
    /// The file with more archives at the end of `archives`; all else in it stays as it is, to the byte.
    ///
    /// `text` is a file that [`BootstrapConfiguration::parse`] accepts; `archives` are absolute paths that it
    /// does not name. What is returned was read again, and says what the file said and these archives.
    ///
    /// # Errors
    /// When `archives` is written in a form that cannot be added to, or a path is not accepted.
    pub fn with_archives(text: &str, archives: &[PathBuf]) -> Result<String, Uneditable> {
        let mut wished = Self::parse(text.as_bytes()).map_err(|_| Uneditable)?;
        wished.archives.extend_from_slice(archives);
        let paths: Option<Vec<&str>> = archives.iter().map(|path| path.to_str()).collect();
        let paths = paths.ok_or(Uneditable)?;
        let (mark, body) = match text.strip_prefix('\u{feff}') {
            Some(body) => ("\u{feff}", body),
            None => ("", text),
        };
        let edited = find(body).and_then(|written| add(body, written, &paths)).ok_or(Uneditable)?;
        let edited = format!("{mark}{edited}");
        match Self::parse(edited.as_bytes()) {
            Ok(found) if found == wished => Ok(edited),
            _ => Err(Uneditable),
        }
    }
}

fn find(text: &str) -> Option<Written> {
    let mut events = Parser::new_from_str(text).map_while(Result::ok);
    events.find(|(event, _)| matches!(event, Event::MappingStart(..)))?;
    loop {
        let (Event::Scalar(key, ..), _) = events.next()? else { return None };
        let (value, span) = events.next()?;
        if key != "archives" {
            pass_over(&value, &mut events)?;
            continue;
        }
        return match value {
            Event::Scalar(_, style, _, None) if is_inline(style) => Some(Written::One(place(text, span))),
            Event::SequenceStart(..) => {
                let last = last_item(text, &mut events)?;
                let is_flow = text[place(text, span)].trim_end().ends_with('[');
                Some(if is_flow { Written::Flow(last) } else { Written::Block(last) })
            }
            _ => None,
        };
    }
}

/// Leaves what is inside of a value whose first event is `value`.
fn pass_over<'a>(value: &Event<'a>, events: &mut impl Iterator<Item = (Event<'a>, Span)>) -> Option<()> {
    let deeper = |event: &Event<'_>| match event {
        Event::SequenceStart(..) | Event::MappingStart(..) => 1,
        Event::SequenceEnd | Event::MappingEnd => -1,
        _ => 0,
    };
    let mut depth = deeper(value);
    while depth > 0 {
        depth += deeper(&events.next()?.0);
    }
    Some(())
}

fn last_item<'a>(text: &str, events: &mut impl Iterator<Item = (Event<'a>, Span)>) -> Option<Range<usize>> {
    let mut last = None;
    loop {
        match events.next()? {
            (Event::Scalar(_, style, ..), span) if is_inline(style) => last = Some(place(text, span)),
            (Event::SequenceEnd, _) => return last,
            _ => return None,
        }
    }
}

/// The others (`|`, `>`) end where the next value begins.
fn is_inline(style: ScalarStyle) -> bool {
    matches!(style, ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted)
}

/// The parser counts characters.
fn place(text: &str, span: Span) -> Range<usize> {
    let byte = |index| text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte);
    byte(span.start.index())..byte(span.end.index())
}

fn add(text: &str, written: Written, paths: &[&str]) -> Option<String> {
    let listed = || paths.iter().map(|path| format!(", {}", scalar(path))).collect::<String>();
    match written {
        Written::One(place) => {
            let (before, one, after) = (&text[..place.start], &text[place.clone()], &text[place.end..]);
            // Within brackets a comma would end it.
            let quoted = if one.contains([',', '[', ']', '{', '}']) && !one.starts_with(['\'', '"']) {
                scalar(one)
            } else {
                one.to_owned()
            };
            Some(format!("{before}[{quoted}{}]{after}", listed()))
        }
        Written::Flow(last) => {
            let (before, after) = text.split_at(last.end);
            Some(format!("{before}{}{after}", listed()))
        }
        Written::Block(last) => {
            let dash = dash(text, last.start)?;
            let end = text[last.end..].find('\n').map_or(text.len(), |newline| last.end + newline + 1);
            let (before, after) = text.split_at(end);
            let newline = if before.ends_with("\r\n") { "\r\n" } else { "\n" };
            let items = paths.iter().map(|path| format!("{dash}{}", scalar(path)));
            Some(if before.ends_with('\n') {
                let lines: String = items.map(|item| item + newline).collect();
                format!("{before}{lines}{after}")
            } else {
                let lines: String = items.map(|item| format!("{newline}{item}")).collect();
                format!("{before}{lines}")
            })
        }
    }
}

/// What stands before an item of a list, as the person wrote it: blanks, the dash, blanks.
fn dash(text: &str, item: usize) -> Option<String> {
    let (above, _) = text.split_at(item);
    let line = above.rsplit('\n').next()?;
    if line.trim() == "-" {
        return Some(line.to_owned());
    }
    // The item stands below its dash, or behind an anchor.
    let line = above.rsplit('\n').find(|line| line.trim_start().starts_with('-'))?;
    let blanks = line.len() - line.trim_start().len();
    Some(format!("{}- ", &line[..blanks]))
}

/// A path as YAML, quoted where it has to be.
fn scalar(path: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+=@%".contains(character);
    if path.starts_with('/') && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "\
# Ours. Ask before you change it.
apiVersion: metalk8s.scality.com/v1alpha2
kind: \"BootstrapConfiguration\"   # quoted for no reason
networks: {controlPlane: 10.200.1.0/28,
           workloadPlane: [10.200.1.0/28]}
ca:
    minion: bootstrap
";

    #[track_caller]
    fn check(archives: &str, add: &[&str], expect: &str) {
        let add: Vec<PathBuf> = add.iter().map(PathBuf::from).collect();
        let edited = BootstrapConfiguration::with_archives(&format!("{HEAD}{archives}"), &add).unwrap();
        let (head, found) = edited.split_at(HEAD.len());
        assert_eq!(head, HEAD);
        assert_eq!(found, expect);
    }

    #[test]
    fn a_line_is_added_below_the_last_one_with_its_indentation() {
        check("archives:\n  - /a.iso\n", &["/b.iso"], "archives:\n  - /a.iso\n  - /b.iso\n");
        check("archives:\n- /a.iso\n", &["/b.iso", "/c.iso"], "archives:\n- /a.iso\n- /b.iso\n- /c.iso\n");
        check(
            "archives: # where [\n    # the first\n    -   '/a.iso'   # old\n\n# the end\nproxies: {}\n",
            &["/b.iso"],
            "archives: # where [\n    # the first\n    -   '/a.iso'   # old\n    -   /b.iso\n\n# the end\n\
             proxies: {}\n",
        );
        check("archives:\n  -\n    /a.iso\n", &["/b.iso"], "archives:\n  -\n    /a.iso\n  - /b.iso\n");
        check("archives:\n  - &first /a.iso\n", &["/b"], "archives:\n  - &first /a.iso\n  - /b\n");
    }

    #[test]
    fn a_list_in_brackets_stays_one() {
        check("archives: [/a.iso]  # x\n", &["/b.iso"], "archives: [/a.iso, /b.iso]  # x\n");
        check("archives: [ '/a.iso', ]\n", &["/b", "/c"], "archives: [ '/a.iso', /b, /c, ]\n");
        check("archives: [\n  /a, # x\n  /b # y\n]\n", &["/c"], "archives: [\n  /a, # x\n  /b, /c # y\n]\n");
    }

    #[test]
    fn a_single_text_becomes_a_list() {
        check("archives: /a.iso # x\n", &["/b.iso"], "archives: [/a.iso, /b.iso] # x\n");
        check("archives: \"/a.iso\"\nproxies:\n", &["/b"], "archives: [\"/a.iso\", /b]\nproxies:\n");
        check("archives: /a,b's.iso\n", &["/b"], "archives: ['/a,b''s.iso', /b]\n");
    }

    #[test]
    fn line_breaks_and_letters_of_all_kinds_stay() {
        check("archives:\n  - /a.iso", &["/b.iso"], "archives:\n  - /a.iso\n  - /b.iso");
        check("archives: # ä€😀\r\n  - /ä.iso\r\n", &["/b"], "archives: # ä€😀\r\n  - /ä.iso\r\n  - /b\r\n");
        let text = format!("\u{feff}{HEAD}archives:\n  - /a.iso\n");
        let edited = BootstrapConfiguration::with_archives(&text, &["/b.iso".into()]).unwrap();
        assert_eq!(edited, format!("{text}  - /b.iso\n"));
    }

    #[test]
    fn paths_that_yaml_would_misread_are_quoted() {
        check("archives: [/a]\n", &["/b c, #1's.iso"], "archives: [/a, '/b c, #1''s.iso']\n");
        check("archives:\n  - /a\n", &["/b: c"], "archives:\n  - /a\n  - '/b: c'\n");
    }

    #[test]
    fn what_cannot_be_added_to_is_refused_and_not_written_anew() {
        for archives in
            ["archives: >-\n  /a.iso\n", "archives:\n  - |-\n    /a.iso\n", "archives: !!str /a\n"]
        {
            let text = format!("{HEAD}{archives}");
            BootstrapConfiguration::parse(text.as_bytes()).unwrap();
            assert_eq!(BootstrapConfiguration::with_archives(&text, &["/b".into()]), Err(Uneditable));
        }
        let text = format!("{HEAD}archives: [/a]\n");
        for path in ["b.iso", "/../b.iso", "/a", "/b\nc"] {
            assert_eq!(
                BootstrapConfiguration::with_archives(&text, &[path.into()]),
                Err(Uneditable),
                "{path:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_path_is_added_the_file_says_it_and_nothing_else_changes(
            name in "[ -~äß😀]{1,30}",
            form in prop::sample::select(vec![
                "archives:\n  - /a.iso # x\nproxies: {}\n",
                "archives: [/a.iso] # x\n",
                "archives: /a.iso # x\n",
            ]),
        ) {
            let path: PathBuf = Path::new("/archives").join(name.trim_start_matches('/'))
                .components().collect();
            let text = format!("{HEAD}{form}");
            if let Ok(edited) = BootstrapConfiguration::with_archives(&text, std::slice::from_ref(&path)) {
                let found = BootstrapConfiguration::parse(edited.as_bytes()).unwrap();
                prop_assert_eq!(found.archives, [PathBuf::from("/a.iso"), path]);
                prop_assert!(edited.starts_with(HEAD) && edited.contains("# x\n"));
            }
        }
    }
}
