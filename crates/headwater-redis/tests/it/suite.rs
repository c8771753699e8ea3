//! The contract, on real servers.

use headwater_fold::store::Cached;
use headwater_redis::{RedisOptions, RedisStore};
use headwater_servers::redis::{RedisFlavor, shared};
use headwater_testkit::conformance::store::StoreHarness;

/// A store of the test's own on the shared server.
struct Place {
    options: RedisOptions,
    url: String,
}

impl Place {
    fn new(flavor: RedisFlavor) -> Self {
        let name = format!("test-{:032x}", rand::random::<u128>());
        let url = shared(flavor).unwrap();
        let options = RedisOptions::from_url(&format!("{url}?name={name}")).unwrap();
        Self { options, url }
    }

    /// One whose steps do not fit in memory.
    fn small(flavor: RedisFlavor) -> Self {
        let mut place = Self::new(flavor);
        place.options.step_bytes_max = 1_000;
        place
    }
}

/// The shared server may stay for long: nothing is left there.
impl Drop for Place {
    fn drop(&mut self) {
        let client = ::redis::Client::open(self.url.as_str()).unwrap();
        let mut connection = client.get_connection().unwrap();
        let keys: Vec<String> = ::redis::cmd("KEYS")
            .arg(format!("{{headwater:{}}}*", self.options.name))
            .query(&mut connection)
            .unwrap();
        for key in keys {
            ::redis::cmd("UNLINK")
                .arg(key)
                .exec(&mut connection)
                .unwrap();
        }
    }
}

/// With a cache in front, of so many bytes.
struct InFront(Place, usize);

impl StoreHarness for InFront {
    type Store = Cached<RedisStore>;

    fn store(&self) -> Cached<RedisStore> {
        Cached::new(self.0.store(), self.1)
    }

    fn fences(&self) -> bool {
        true
    }
}

impl StoreHarness for Place {
    type Store = RedisStore;

    fn store(&self) -> RedisStore {
        RedisStore::new(self.options.clone()).unwrap()
    }

    fn fences(&self) -> bool {
        true
    }
}

mod redis {
    headwater_testkit::state_store_suite!(super::Place::new(super::RedisFlavor::Redis));
}

mod redis_staged {
    headwater_testkit::state_store_suite!(super::Place::small(super::RedisFlavor::Redis));
}

mod valkey {
    headwater_testkit::state_store_suite!(super::Place::new(super::RedisFlavor::Valkey));
}

mod redis_cached {
    headwater_testkit::state_store_suite!(super::InFront(
        super::Place::new(super::RedisFlavor::Redis),
        1 << 24
    ));
}

mod valkey_cached_and_staged {
    headwater_testkit::state_store_suite!(super::InFront(
        super::Place::small(super::RedisFlavor::Valkey),
        2_000
    ));
}
