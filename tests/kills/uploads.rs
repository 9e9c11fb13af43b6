//! Uploads that are killed, and go on.

use crate::faults::Random;
use crate::support::fault_proxy::Line;
use crate::support::fixtures::{ControlPlane, open_folder};
use crate::{number, say, support};
use std::fmt::Write as _;
use std::time::Duration;
use support::{capydb, run};

/// Parts of the dump; our control plane makes them of 8 MiB.
const PARTS: usize = 5;
/// The most that are on their way at one time.
const IN_FLIGHT: usize = 4;

#[test]
fn an_upload_that_is_killed_goes_on_with_what_has_arrived() {
    let (control_plane, folder) = (ControlPlane::throw_away(), open_folder());
    let (path, bytes) = (folder.join("app.sql"), dump());
    std::fs::write(&path, &bytes).expect("written");
    let (rounds, seed) = (number("CAPYDB_KILLS", 12), number("CAPYDB_SEED", 20_261_123));
    let mut random = Random::new(seed);
    let (mut died, mut went_on) = (0, 0);
    for round in 0..rounds {
        let line = Line::to(&control_plane.address(), &[]);
        let api = format!("http://{}/api/capydb", line.address);
        let command = || {
            let mut command = capydb(&["import", "--limit-rate", "40M", "--file"]);
            command.arg(&path).env("CAPYDB_API_URL", &api).env("CAPYDB_API_KEY", &control_plane.api_key);
            command.env("XDG_STATE_HOME", &folder);
            command
        };
        let deaths = 1 + random.below(3);
        for _ in 0..deaths {
            let mut child = command().spawn().expect("runs");
            std::thread::sleep(Duration::from_millis(random.below(1200)));
            child.kill().expect("killed"); // SIGKILL
            died += usize::from(!child.wait().expect("gone").success());
        }
        let ran = run(command()).succeeds();
        went_on += usize::from(ran.stderr.contains("Resuming upload"));
        let key = line.started().expect("an import was started");
        let object = control_plane.data_dir.join("objects").join(key.replace('/', ""));
        assert!(std::fs::read(&object).expect("is there") == bytes, "round {round}: another object: {ran:#?}");
        std::fs::remove_file(object).expect("removed");
        let most = PARTS + usize::try_from(deaths).expect("few") * IN_FLIGHT;
        assert!(line.uploads() <= most, "round {round}: {} parts were sent", line.uploads());
    }
    say(&format!("{died} kills in {rounds} uploads (seed {seed}), {went_on} went on with parts that had arrived"));
    assert!(died > 0 && went_on > 0, "the kills came at times that prove nothing");
}

fn dump() -> Vec<u8> {
    let mut text = "CREATE TABLE t (x text);\nCOPY t FROM stdin;\n".to_owned();
    let mut number = 7_u64;
    while text.len() < PARTS * (8 << 20) - 5000 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(text, "{number:016x}").expect("writes");
    }
    (text + "\\.\n").into_bytes()
}
