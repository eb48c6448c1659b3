//! Words for a POSIX shell.

/// A line whose words a POSIX shell reads back as they are. None of them may hold a NUL.
pub(crate) fn line<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| quote(word.as_ref())).collect();
    quoted.join(" ")
}

/// Always in quotes, so that no word is taken for an alias, a keyword or an assignment.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::ffi::OsStrExt as _, process::Command};

    use proptest::prelude::*;

    use super::line;

    fn read_back(words: &[String]) -> Vec<String> {
        let script = line([&["printf".to_owned(), "%s\\0".to_owned()], words].concat());
        let output = Command::new("/bin/sh").arg("-c").arg(script).output().unwrap();
        assert_eq!(output.stderr, b"");
        let text = std::ffi::OsStr::from_bytes(&output.stdout).to_str().unwrap().to_owned();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn a_word_with_quotes_arrives_as_it_is() {
        let words = ["'", "''", "a'b", "$(id)", "`id`", "\\", "\n", "", "~", "*", "!x", "-n", "é\u{202e}"];
        let words: Vec<String> = words.map(str::to_owned).to_vec();
        assert_eq!(read_back(&words), words);
    }

    #[test]
    fn a_keyword_or_an_assignment_is_only_a_word() {
        for word in ["if", "A=b", "{", "!"] {
            let status = Command::new("/bin/sh").arg("-c").arg(line([word])).output().unwrap().status;
            assert_eq!(status.code(), Some(127), "{word}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_words_arrive_as_they_are(words in prop::collection::vec("[^\0]{0,24}", 1..6)) {
            prop_assert_eq!(read_back(&words), words);
        }

        #[test]
        fn words_of_a_shell_arrive_as_they_are(
            words in prop::collection::vec("[ '\"$`\\\\\n\t;&|<>(){}*?~#!a-c=-]{0,16}", 1..6)
        ) {
            prop_assert_eq!(read_back(&words), words);
        }
    }
}
