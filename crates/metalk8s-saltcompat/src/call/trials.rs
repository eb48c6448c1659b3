//! Functions that try whether calls work, and those that have nothing to do here.

use std::time::Duration;

use metalk8s_engine::ApplyOptions;
use serde_json::{Map, Value, json};

use super::{Call, CallError, Returned, text};

/// Salt's kinds of modules. They are all part of the program.
const KINDS: [&str; 18] = [
    "clouds",
    "beacons",
    "modules",
    "states",
    "sdb",
    "grains",
    "renderers",
    "returners",
    "output",
    "utils",
    "log_handlers",
    "executors",
    "proxymodules",
    "engines",
    "thorium",
    "serializers",
    "matchers",
    "resources",
];
/// The last one that fits into 64 bits.
const LAST_FIBONACCI: u64 = 93;
/// Nobody waits longer than a day.
const LONGEST_SLEEP: u64 = 24 * 60 * 60;

impl Call<'_> {
    pub(super) fn arguments(&self, only_named: bool) -> Result<Value, CallError> {
        if only_named {
            if let Some(word) = self.words.positional.first() {
                return Err(self.usage(format!(
                    "`{}` does not take the word `{}`",
                    self.function,
                    text(word)
                )));
            }
            return Ok(self.words.named.clone().into());
        }
        Ok(json!({"args": self.words.positional, "kwargs": self.words.named}))
    }

    pub(super) fn fibonacci(&self, options: &ApplyOptions) -> Result<Value, CallError> {
        let number = self.number(None, LAST_FIBONACCI)?;
        let before = options.clock.elapsed();
        // The one after the wanted one would not fit.
        let (found, _) =
            (0..number).fold((0_u64, 1_u64), |(this, next), _| (next, this.saturating_add(next)));
        let seconds = options.clock.elapsed().saturating_sub(before).as_secs_f64();
        Ok(json!([found, seconds]))
    }

    pub(super) async fn sleep(&self, options: &ApplyOptions) -> Result<Value, CallError> {
        let seconds = self.number(None, LONGEST_SLEEP)?;
        options.clock.sleep(Duration::from_secs(seconds)).await;
        Ok(true.into())
    }

    pub(super) fn status(&self) -> Result<Returned, CallError> {
        let status = self.number(Some(42), u64::from(u8::MAX))?;
        let retcode = u8::try_from(status).expect("it was compared with the largest");
        Ok(Returned::Ended { value: true.into(), retcode })
    }

    pub(super) fn sync(&self, kind: Option<&str>) -> Result<Value, CallError> {
        self.takes(1, &["saltenv", "refresh"])?;
        Ok(match kind {
            Some(_) => json!([]),
            None => KINDS.iter().map(|kind| ((*kind).to_owned(), json!([]))).collect::<Map<_, _>>().into(),
        })
    }

    /// The only word, or this number where there may be none.
    fn number(&self, usual: Option<u64>, largest: u64) -> Result<u64, CallError> {
        self.takes(1, &[])?;
        let number = match self.words.positional.first() {
            None => usual,
            Some(word) => word.as_u64().filter(|number| *number <= largest),
        };
        number.ok_or_else(|| self.usage(format!("`{}` needs a number from 0 to {largest}", self.function)))
    }
}
