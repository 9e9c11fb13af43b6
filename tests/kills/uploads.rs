//! Tests that a killed upload resumes.

use crate::faults::Random;
use crate::support::fault_proxy::FaultProxy;
use crate::support::fixtures::{ControlPlane, test_dir};
use crate::{env_number, print, support};
use std::fmt::Write as _;
use std::time::Duration;
use support::{capydb, run};

/// Parts of the dump; the control plane uses parts of 8 MiB.
const PARTS: usize = 5;
/// Parts that are uploaded concurrently.
const IN_FLIGHT: usize = 4;

#[test]
fn a_killed_upload_resumes_with_the_uploaded_parts() {
    let (control_plane, dir) = (ControlPlane::ephemeral(), test_dir());
    let (path, bytes) = (dir.join("app.sql"), dump());
    std::fs::write(&path, &bytes).expect("write file");
    let (rounds, seed) = (env_number("CAPYDB_KILLS", 12), env_number("CAPYDB_SEED", 20_261_123));
    let mut random = Random::new(seed);
    let (mut killed, mut resumed) = (0, 0);
    for round in 0..rounds {
        let proxy = FaultProxy::to(&control_plane.address(), &[]);
        let api = format!("http://{}/api/capydb", proxy.address);
        let command = || {
            let mut command = capydb(&["import", "--limit-rate", "40M", "--file"]);
            command.arg(&path).env("CAPYDB_API_URL", &api).env("CAPYDB_API_KEY", &control_plane.api_key);
            command.env("XDG_STATE_HOME", &dir);
            command
        };
        let kills = 1 + random.below(3);
        for _ in 0..kills {
            let mut child = command().spawn().expect("spawn capydb");
            std::thread::sleep(Duration::from_millis(random.below(1200)));
            child.kill().expect("kill capydb"); // SIGKILL
            killed += usize::from(!child.wait().expect("wait for capydb").success());
        }
        let ran = run(command()).succeeds();
        resumed += usize::from(ran.stderr.contains("Resuming upload"));
        let key = proxy.imported_key().expect("object key of the import");
        let object = control_plane.data_dir.join("objects").join(key.replace('/', ""));
        assert!(std::fs::read(&object).expect("read object") == bytes, "round {round}: the object differs: {ran:#?}");
        std::fs::remove_file(object).expect("remove object");
        let limit = PARTS + usize::try_from(kills).expect("count fits") * IN_FLIGHT;
        assert!(proxy.uploads() <= limit, "round {round}: {} parts were sent", proxy.uploads());
    }
    print(&format!("{killed} kills in {rounds} uploads (seed {seed}); {resumed} uploads resumed"));
    assert!(killed > 0 && resumed > 0, "no kill happened during an upload, so nothing was tested");
}

fn dump() -> Vec<u8> {
    let mut text = "CREATE TABLE t (x text);\nCOPY t FROM stdin;\n".to_owned();
    let mut number = 7_u64;
    while text.len() < PARTS * (8 << 20) - 5000 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(text, "{number:016x}").expect("write to string");
    }
    (text + "\\.\n").into_bytes()
}
