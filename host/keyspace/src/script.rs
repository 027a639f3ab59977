//! A script, by the name that servers keep it under.

use redis::Cmd;

/// A Lua script. What it reads and writes is named by its keys, all of one slot.
#[derive(Debug)]
pub struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    /// A script of this text.
    pub fn new(text: &'static str) -> Self {
        Self {
            text,
            hash: redis::Script::new(text).get_hash().to_owned(),
        }
    }

    /// Its text.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Runs it by its name, which the server may not know.
    pub fn by_name<K: AsRef<[u8]>, A: AsRef<[u8]>>(&self, keys: &[K], args: &[A]) -> Cmd {
        command("EVALSHA", &self.hash, keys, args)
    }

    /// Runs it by its text, which makes its name known.
    pub fn by_text<K: AsRef<[u8]>, A: AsRef<[u8]>>(&self, keys: &[K], args: &[A]) -> Cmd {
        command("EVAL", self.text, keys, args)
    }
}

fn command<K: AsRef<[u8]>, A: AsRef<[u8]>>(name: &str, script: &str, keys: &[K], args: &[A]) -> Cmd {
    let mut cmd = redis::cmd(name);
    cmd.arg(script).arg(keys.len());
    for key in keys {
        cmd.arg(key.as_ref());
    }
    for arg in args {
        cmd.arg(arg.as_ref());
    }
    cmd
}
