//! A certificate for a private IoTDB, made by the tool that comes with Java.

use std::path::Path;
use std::process::{Command, Stdio};

use super::KEY_STORE_PASSWORD;
use crate::data;
use crate::error::{Context, Error, Result};

/// Writes `server.p12` and `server.pem` to `folder`.
pub(super) fn create(java: &Path, folder: &Path) -> Result<()> {
    let tool = java.with_file_name("keytool");
    let tool = if tool.is_file() {
        tool
    } else {
        "keytool".into()
    };
    let store = folder.join("server.p12");
    let certificate = folder.join("server.pem");
    let generate = "-genkeypair -alias iotdb -keyalg RSA -keysize 2048 -validity 3650 -storetype PKCS12 -dname CN=localhost -ext san=dns:localhost,ip:127.0.0.1";
    let export = "-exportcert -rfc -alias iotdb";
    for (words, file) in [(generate, None), (export, Some(&certificate))] {
        let mut command = Command::new(&tool);
        command
            .args(words.split(' '))
            .arg("-keystore")
            .arg(&store)
            .args(["-storepass", KEY_STORE_PASSWORD])
            .stdin(Stdio::null());
        if let Some(file) = file {
            command.arg("-file").arg(file);
        }
        let output = command.output().context(|| "run keytool".into())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            let tail = data::tail(&said, 5);
            return Err(Error::new(format!(
                "keytool cannot make a certificate:\n{tail}"
            )));
        }
    }
    Ok(())
}
