//! The contract, on real servers.

use headwater_redis::{RedisOptions, RedisStore};
use headwater_servers::redis::{RedisFlavor, shared};
use headwater_testkit::conformance::store::StoreHarness;

/// A store of the test's own on the shared server.
pub(crate) struct Place(RedisOptions);

impl Place {
    pub(crate) fn new(flavor: RedisFlavor) -> Self {
        let name = format!("test-{:032x}", rand::random::<u128>());
        let url = shared(flavor).unwrap();
        Self(RedisOptions::from_url(&format!("{url}?name={name}")).unwrap())
    }

    /// One whose steps do not fit in memory.
    fn small(flavor: RedisFlavor) -> Self {
        let mut place = Self::new(flavor);
        place.0.step_bytes_max = 1_000;
        place
    }
}

impl StoreHarness for Place {
    type Store = RedisStore;

    fn store(&self) -> RedisStore {
        RedisStore::new(self.0.clone()).unwrap()
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
