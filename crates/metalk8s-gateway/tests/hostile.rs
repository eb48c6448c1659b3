//! Whatever a client sends or an archive says of its images: it is understood or refused. See fuzz/README.md.

#[path = "hostile/gateway_index.rs"]
mod gateway_index;
#[path = "hostile/gateway_request.rs"]
mod gateway_request;
#[path = "../../../fuzz/seeded.rs"]
mod seeded;

const HEAD_WORDS: [&str; 18] = [
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    "GET ",
    "HEAD ",
    "http://",
    " HTTP/1.0",
    "%2e",
    "%2F",
    "..",
    "/./",
    "?",
    "bytes=-",
    "-",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "Connection: keep-alive, close\r\n",
    "\t",
];
const INDEX_WORDS: [&str; 12] =
    ["{", "}", "[", "\"", ",", ":", "/", "../", "\\u0000", "sha256:", "[::1]:", "[[[[[[[["];

#[test]
fn any_request_is_understood_or_refused() {
    seeded::run("gateway_request", &HEAD_WORDS, 20_000, gateway_request::check);
}

#[test]
fn any_index_gives_usable_names_or_is_refused() {
    seeded::run("gateway_index", &INDEX_WORDS, 20_000, gateway_index::check);
}
