//! What a real site answered, read from `shared/fixtures/erpnext`.

use std::{fs, path::Path};

use http::Response;

/// The answer in `NAME.http`.
pub(crate) fn answer(name: &str) -> Response<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/erpnext").join(format!("{name}.http"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (_, answer) = text.split_once("--- RESPONSE ---\n").unwrap();
    let (head, body) = answer.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let answer =
        headers.fold(Response::builder().status(status), |answer, (name, value)| answer.header(name, value));
    answer.body(body.trim_end().as_bytes().to_vec()).unwrap()
}

/// The names of all recordings.
pub(super) fn names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/erpnext");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        files.filter_map(|name| name.strip_suffix(".http").map(ToOwned::to_owned)).collect();
    names.sort();
    names
}
