//! What a server says of how it keeps data, and of what it does when it is full.

use redis::aio::MultiplexedConnection;

/// What is there after the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// All that was answered.
    All,
    /// What was written some time before: a second, or since the last snapshot.
    UpToSomeTime,
    /// Nothing.
    Nothing,
    /// It does not say.
    Unknown,
}

/// What a server says. Managed servers may not answer: then nothing is known, and nothing is said.
#[derive(Debug)]
pub(crate) struct Habits {
    /// Its kind and version.
    pub(crate) version: String,
    /// What it does when it is full.
    pub(crate) policy: String,
    /// Whether it has a limit at all.
    is_limited: bool,
    pub(crate) keeps: Keeps,
    /// The settings by which it keeps data.
    pub(crate) keeping: String,
    pub(crate) is_replica: bool,
}

impl Habits {
    pub(crate) async fn ask(connection: &mut MultiplexedConnection) -> Self {
        let info: String = redis::cmd("INFO")
            .query_async(connection)
            .await
            .unwrap_or_default();
        let saves = setting(connection, "save").await;
        let syncs = setting(connection, "appendfsync").await;
        Self::of(&info, saves.as_deref(), syncs.as_deref())
    }

    /// Of the answer to `INFO`, and the values of `save` and `appendfsync`.
    fn of(info: &str, saves: Option<&str>, syncs: Option<&str>) -> Self {
        let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let valkey = value("valkey_version:").map(|version| format!("Valkey {version}"));
        let version = valkey.or_else(|| Some(format!("Redis {}", value("redis_version:")?)));
        let (keeps, keeping) = match (value("aof_enabled:"), saves, syncs) {
            (Some("1"), _, Some("always")) => {
                (Keeps::All, "appendonly yes, appendfsync always".to_owned())
            }
            (Some("1"), _, syncs) => {
                let syncs =
                    syncs.map_or_else(String::new, |syncs| format!(", appendfsync {syncs}"));
                (Keeps::UpToSomeTime, format!("appendonly yes{syncs}"))
            }
            (Some(_), Some(""), _) => (Keeps::Nothing, "appendonly no, no save".to_owned()),
            (Some(_), Some(saves), _) => {
                (Keeps::UpToSomeTime, format!("appendonly no, save {saves}"))
            }
            _ => (Keeps::Unknown, "it does not say".to_owned()),
        };
        Self {
            version: version.unwrap_or_default(),
            policy: value("maxmemory_policy:").unwrap_or_default().to_owned(),
            is_limited: value("maxmemory:").is_some_and(|limit| limit != "0"),
            keeps,
            keeping,
            is_replica: value("role:") == Some("slave"),
        }
    }

    /// Whether it would drop keys that do not expire, as a store's do not.
    pub(crate) fn would_drop(&self) -> bool {
        self.policy.starts_with("allkeys")
    }

    /// Whether it does so as it is set.
    pub(crate) fn drops_now(&self) -> bool {
        self.would_drop() && self.is_limited
    }
}

async fn setting(connection: &mut MultiplexedConnection, name: &str) -> Option<String> {
    let mut asked = redis::cmd("CONFIG");
    asked.arg("GET").arg(name);
    let pair: redis::RedisResult<Vec<String>> = asked.query_async(connection).await;
    pair.ok()?.into_iter().nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_told_by_the_settings() {
        let of = |aof: &str, saves, syncs| {
            Habits::of(&format!("aof_enabled:{aof}\r\n"), saves, syncs).keeps
        };
        assert_eq!(of("1", Some(""), Some("always")), Keeps::All);
        assert_eq!(of("1", Some(""), Some("everysec")), Keeps::UpToSomeTime);
        assert_eq!(of("1", None, None), Keeps::UpToSomeTime);
        assert_eq!(of("0", Some("3600 1"), None), Keeps::UpToSomeTime);
        assert_eq!(of("0", Some(""), Some("always")), Keeps::Nothing);
        assert_eq!(of("0", None, None), Keeps::Unknown);
        assert_eq!(Habits::of("", None, None).keeps, Keeps::Unknown);
    }

    #[test]
    fn keys_that_do_not_expire_are_dropped_by_two_settings_together() {
        let of = |policy: &str, limit: &str| {
            let info = format!(
                "redis_version:7.0.15\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n"
            );
            let habits = Habits::of(&info, None, None);
            assert_eq!(habits.version, "Redis 7.0.15");
            (habits.would_drop(), habits.drops_now())
        };
        assert_eq!(of("allkeys-lru", "100"), (true, true));
        assert_eq!(of("allkeys-random", "0"), (true, false));
        assert_eq!(of("volatile-lru", "100"), (false, false));
        assert_eq!(of("noeviction", "100"), (false, false));
    }
}
