use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use metalk8s_diagnostics::{Diagnose as _, explain};
use metalk8s_ssh::{Upload, UploadError, Uploaded};
use sha2::{Digest as _, Sha256};

use crate::{LONG, server::Machine, told};

/// More than the window of a channel, so that it has to be waited for.
const SIZE: usize = 5_000_000;

struct Program {
    path: PathBuf,
    bytes: Vec<u8>,
    sha256: String,
}

impl Program {
    fn new(machine: &Machine, seed: u8) -> Self {
        let bytes: Vec<u8> = (0..SIZE).map(|at| (at % 253) as u8 ^ seed).collect();
        let path = machine.folder.path().join(format!("program-{seed}"));
        fs::write(&path, &bytes).unwrap();
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Self { path, bytes, sha256 }
    }

    fn to(&self, destination: &str) -> Upload {
        Upload::new(&self.path, &self.sha256, destination, LONG).mode(0o755)
    }
}

/// The names in the folder of the destination.
fn names(destination: &str) -> Vec<String> {
    let folder = Path::new(destination).parent().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_upload_arrives_whole_with_its_mode() {
    let machine = Machine::start().await;
    let program = Program::new(&machine, 1);
    let destination = machine.path("new folder/it's $HOME/program");
    let progress = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&progress);
    let upload =
        program.to(&destination).on_progress(move |sent, all| told.lock().unwrap().push((sent, all)));
    let uploaded = machine.session().await.upload(&upload).await.unwrap();
    assert_eq!(uploaded, Uploaded::Sent(SIZE as u64));
    assert!(fs::read(&destination).unwrap() == program.bytes);
    assert_eq!(fs::metadata(&destination).unwrap().permissions().mode() & 0o7777, 0o755);
    let folder = fs::metadata(Path::new(&destination).parent().unwrap()).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o755);
    assert_eq!(names(&destination), ["program"]);
    let progress = progress.lock().unwrap();
    assert!(progress.is_sorted() && progress.len() > 2, "{}", progress.len());
    assert_eq!((progress[0].0 < SIZE as u64, progress[0].1), (true, SIZE as u64));
    assert_eq!(progress.last(), Some(&(SIZE as u64, SIZE as u64)));
}

#[tokio::test]
async fn an_upload_that_is_there_already_is_not_sent_again() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let (first, second) = (Program::new(&machine, 1), Program::new(&machine, 2));
    let destination = machine.path("to/program");
    session.upload(&first.to(&destination)).await.unwrap();
    let received = machine.received();
    let uploaded = session.upload(&first.to(&destination).mode(0o700)).await.unwrap();
    assert_eq!((uploaded, machine.received()), (Uploaded::WasThere, received));
    assert_eq!(fs::metadata(&destination).unwrap().permissions().mode() & 0o7777, 0o700);

    assert_eq!(session.upload(&second.to(&destination)).await.unwrap(), Uploaded::Sent(SIZE as u64));
    assert!(fs::read(&destination).unwrap() == second.bytes);
}

#[tokio::test]
async fn an_upload_is_whole_or_not_there() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let program = Program::new(&machine, 1);
    let destination = machine.path("to/program");
    fs::create_dir(machine.path("to")).unwrap();
    fs::write(&destination, "old").unwrap();
    let half = machine.path("half");
    assert!(std::process::Command::new("mkfifo").arg(&half).status().unwrap().success());
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let pipe = half.clone();
    let writer = std::thread::spawn(move || {
        let mut pipe = fs::File::create(pipe).unwrap();
        pipe.write_all(&[1; SIZE / 2]).unwrap();
        let _ = held.recv();
    });
    let upload = Upload::new(half, &program.sha256, &destination, LONG);
    let (result, ()) = tokio::join!(session.upload(&upload), async {
        let half_there = || names(&destination) == [".program.upload", "program"];
        let is_old = || fs::read(&destination).unwrap() == b"old";
        while machine.received() < SIZE as u64 / 2 || is_old() && !half_there() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        machine.cut("power").await;
    });
    drop(hold);
    writer.join().unwrap();
    let error = result.unwrap_err();
    assert!(matches!(error, UploadError::Run { .. }) && error.is_retryable(), "{error:?}");
    assert!(told(&error).contains(&format!("while `cat > {destination}` ran")), "{}", told(&error));
    // What is left over there ends by itself.
    let cleaned = async {
        while names(&destination) != ["program"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, cleaned).await.unwrap();
    assert_eq!(fs::read_to_string(&destination).unwrap(), "old");
}

#[tokio::test]
async fn what_a_machine_without_power_left_behind_is_replaced() {
    let machine = Machine::start().await;
    let program = Program::new(&machine, 1);
    let destination = machine.path("to/program");
    fs::create_dir(machine.path("to")).unwrap();
    fs::write(machine.path("to/.program.upload"), "half").unwrap();
    machine.session().await.upload(&program.to(&destination)).await.unwrap();
    assert_eq!(names(&destination), ["program"]);
    assert!(fs::read(&destination).unwrap() == program.bytes);
}

#[tokio::test]
async fn what_arrives_damaged_does_not_take_its_place() {
    let machine = Machine::start().await;
    machine.install("cat", "/bin/cat; echo more");
    let program = Program::new(&machine, 1);
    let destination = machine.path("to/program");
    let error = machine.session().await.upload(&program.to(&destination)).await.unwrap_err();
    assert!(matches!(&error, UploadError::Damaged { found, .. } if found.len() == 64), "{error:?}");
    assert!(names(&destination).is_empty(), "{:?}", names(&destination));
}

#[tokio::test]
async fn a_full_disk_is_named() {
    let machine = Machine::start().await;
    machine.install("cat", "/bin/cat > /dev/full");
    let program = Program::new(&machine, 1);
    let destination = machine.path("to/program");
    let error = machine.session().await.upload(&program.to(&destination)).await.unwrap_err();
    assert!(matches!(error, UploadError::DiskFull { .. }), "{error:?}");
    assert_eq!(error.code(), Some(explain::DISK_FULL));
    assert!(names(&destination).is_empty(), "{:?}", names(&destination));
}

#[tokio::test]
async fn another_file_than_the_one_meant_is_told_from_a_damaged_one() {
    let machine = Machine::start().await;
    let mut program = Program::new(&machine, 1);
    program.sha256 = "0".repeat(64);
    let destination = machine.path("to/program");
    let error = machine.session().await.upload(&program.to(&destination)).await.unwrap_err();
    assert!(matches!(error, UploadError::OtherSource { .. }), "{error:?}");
    assert!(names(&destination).is_empty(), "{:?}", names(&destination));
}

#[tokio::test]
async fn a_folder_in_the_way_and_a_path_that_is_none_are_told() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let program = Program::new(&machine, 1);
    let error = session.upload(&program.to(&machine.path("bin"))).await.unwrap_err();
    assert!(matches!(error, UploadError::IsFolder { .. }), "{error:?}");
    let lines = machine.lines().len();
    for path in ["relative", "/", "/folder/", "/a\0b", ""] {
        let error = session.upload(&program.to(path)).await.unwrap_err();
        assert!(matches!(error, UploadError::BadPath { .. }), "{path}: {error:?}");
    }
    assert_eq!(machine.lines().len(), lines);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_says_why() {
    let machine = Machine::start().await;
    let program = Program::new(&machine, 1);
    fs::write(machine.path("file"), "").unwrap();
    let error = machine.session().await.upload(&program.to(&machine.path("file/program"))).await.unwrap_err();
    assert!(matches!(error, UploadError::Refused { .. }), "{error:?}");
    assert!(told(&error).contains("the machine says: mkdir: "), "{}", told(&error));
}

#[tokio::test]
async fn an_upload_goes_through_sudo() {
    let mut machine = Machine::start().await;
    machine.endpoint.user = "admin".to_owned();
    machine.endpoint.sudo = true;
    let trace = machine.path("trace");
    machine.install("sudo", &format!("echo used >> '{trace}'; shift 2; exec \"$@\""));
    let program = Program::new(&machine, 1);
    let destination = machine.path("to/program");
    machine.session().await.upload(&program.to(&destination)).await.unwrap();
    assert!(fs::read(&destination).unwrap() == program.bytes);
    assert_eq!(fs::read_to_string(trace).unwrap(), "used\nused\n");
}
