//! The three servers that everything is tested on.

/// A server product in one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flavor {
    /// MariaDB 10.11, as Debian 12 has it: positions in every event.
    MariaDb1011,
    /// MariaDB 11.8, as Debian 13 has it: events of a transaction have no end position.
    MariaDb118,
    /// MySQL 9.7, as Debian unstable has it: `caching_sha2_password`, no `MASTER` words.
    MySql97,
}

impl Flavor {
    /// All of them, in the order in which they are started and reported.
    pub const ALL: [Self; 3] = [Self::MariaDb1011, Self::MariaDb118, Self::MySql97];

    /// The name for people, such as `MariaDB 10.11`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MariaDb1011 => "MariaDB 10.11",
            Self::MariaDb118 => "MariaDB 11.8",
            Self::MySql97 => "MySQL 9.7",
        }
    }

    /// The name in file names and on the command line, such as `mariadb-10.11`.
    pub fn slug(self) -> &'static str {
        match self {
            Self::MariaDb1011 => "mariadb-10.11",
            Self::MariaDb118 => "mariadb-11.8",
            Self::MySql97 => "mysql-9.7",
        }
    }

    /// The version line that this flavor stands for, such as `10.11`.
    pub fn version(self) -> &'static str {
        match self {
            Self::MariaDb1011 => "10.11",
            Self::MariaDb118 => "11.8",
            Self::MySql97 => "9.7",
        }
    }

    /// Whether this is a MariaDB (else it is a MySQL).
    pub fn is_mariadb(self) -> bool {
        match self {
            Self::MariaDb1011 | Self::MariaDb118 => true,
            Self::MySql97 => false,
        }
    }

    /// The environment variable that holds the address of a server to use instead of a shared one.
    pub fn variable(self) -> &'static str {
        match self {
            Self::MariaDb1011 => "HEADWATER_TEST_MARIADB_10_11",
            Self::MariaDb118 => "HEADWATER_TEST_MARIADB_11_8",
            Self::MySql97 => "HEADWATER_TEST_MYSQL_9_7",
        }
    }

    /// The port that the shared server asks for first.
    pub fn shared_port(self) -> u16 {
        match self {
            Self::MariaDb1011 => 33311,
            Self::MariaDb118 => 33318,
            Self::MySql97 => 33397,
        }
    }

    /// The `server_id` that servers of this flavor have unless told otherwise.
    pub fn server_id(self) -> u32 {
        match self {
            Self::MariaDb1011 => 1011,
            Self::MariaDb118 => 118,
            Self::MySql97 => 97,
        }
    }

    /// Whether the text that `--version` or `SELECT VERSION()` answers belongs to this flavor.
    ///
    /// Debian unstable moves on, so any MySQL 9 from 9.7 on will do.
    pub fn matches(self, version: &str) -> bool {
        let is_mariadb = version.contains("MariaDB");
        let number = version
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
            .unwrap_or_default();
        let mut parts = number.split('.').map_while(|part| part.parse::<u32>().ok());
        let line = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        match self {
            Self::MariaDb1011 => is_mariadb && line == (10, 11),
            Self::MariaDb118 => is_mariadb && line == (11, 8),
            Self::MySql97 => !is_mariadb && line.0 == 9 && line.1 >= 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Flavor;

    #[test]
    fn a_version_text_belongs_to_one_flavor_only() {
        let texts = [
            (
                "mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64",
                Some(Flavor::MariaDb1011),
            ),
            ("11.8.6-MariaDB-log", Some(Flavor::MariaDb118)),
            (
                "/x/y/mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))",
                Some(Flavor::MySql97),
            ),
            ("mysqld  Ver 8.0.36 for Linux on x86_64", None),
            ("mariadbd  Ver 10.6.12-MariaDB for Linux on x86_64", None),
            ("", None),
        ];
        for (text, expected) in texts {
            let found: Vec<_> = Flavor::ALL
                .into_iter()
                .filter(|f| f.matches(text))
                .collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{text}");
        }
    }
}
