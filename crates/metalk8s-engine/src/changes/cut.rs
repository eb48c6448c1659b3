//! Diffs that are cut, so that all of it has room.

use super::{ChangeSet, Diff};

/// What telling how much was cut costs, in bytes of JSON.
const TOLD: usize = 40;

impl ChangeSet {
    /// Cuts diffs, the longest first, until all of it has at most `limit` bytes as JSON. States and digests stay,
    /// also where they alone have more.
    pub fn cut(&mut self, limit: usize) {
        if json_length(&*self) <= limit {
            return;
        }
        let lengths: Vec<usize> = self.diffs().map(|diff| json_length(&diff.text)).collect();
        let without: usize = json_length(&*self) - lengths.iter().sum::<usize>();
        let room = limit.saturating_sub(without + lengths.len() * TOLD);
        let most = fair_share(lengths, room);
        for diff in self.diffs_mut() {
            diff.cut(most);
        }
    }

    fn diffs(&self) -> impl Iterator<Item = &Diff> {
        self.changes.iter().filter_map(|change| change.diff.as_ref())
    }

    fn diffs_mut(&mut self) -> impl Iterator<Item = &mut Diff> {
        self.changes.iter_mut().filter_map(|change| change.diff.as_mut())
    }
}

impl Diff {
    /// Keeps whole lines at the beginning that have at most `most` bytes as JSON.
    fn cut(&mut self, most: usize) {
        let total = self.text.lines().count();
        let (mut length, mut kept, mut end) = (2, 0, 0);
        for line in self.text.split_inclusive('\n') {
            // The quotes around a line are not in the middle of a text.
            length += json_length(line) - 2;
            if length > most {
                break;
            }
            kept += 1;
            end += line.len();
        }
        self.text.truncate(end);
        self.cut_lines += total - kept;
    }
}

/// The most that each may have so that all together have at most `room`.
fn fair_share(mut lengths: Vec<usize>, mut room: usize) -> usize {
    lengths.sort_unstable();
    let mut left = lengths.len();
    for length in lengths {
        if length * left > room {
            return room / left;
        }
        room -= length;
        left -= 1;
    }
    usize::MAX
}

fn json_length(value: &(impl serde::Serialize + ?Sized)) -> usize {
    serde_json::to_vec(value).map_or(0, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use super::fair_share;

    #[test]
    fn short_ones_stay_whole_and_long_ones_share_the_rest() {
        assert_eq!(fair_share(vec![10, 100, 1000], 310), 200);
        assert_eq!(fair_share(vec![10, 100, 1000], 1110), usize::MAX);
        assert_eq!(fair_share(vec![10, 10], 0), 0);
    }
}
