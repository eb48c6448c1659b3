//! Known words that look like an unknown one.

/// The words most like `word`, best first, at most three; none that has little in common with it.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ranked: Vec<(f64, &str)> = known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    ranked.into_iter().map(|(_, candidate)| candidate).take(3).collect()
}

/// The same in words, for the `accepted` of a problem: the nearest, or else all that is known.
pub(crate) fn accepted<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let near = nearest(word, known.clone());
    let words = if near.is_empty() { known.into_iter().collect() } else { near };
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The same for functions such as `test.ping`: of a known module, all its functions.
pub(crate) fn functions_like<'a>(function: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let module = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let wanted = module(function);
    let of_module: Vec<&str> = known.clone().into_iter().filter(|name| module(name) == wanted).collect();
    let near = nearest(function, of_module.iter().copied());
    let words = if near.is_empty() { of_module } else { near };
    if words.is_empty() {
        return accepted(function, known);
    }
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
