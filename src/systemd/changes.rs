//! The changes of one unit's state, as its PropertiesChanged signals tell them.

use super::{CallError, Manager};
use crate::model::UnitName;

/// Listens to one unit.
pub(crate) struct StateChanges {
    /// `ActiveState` after the subscription was made.
    pub(crate) state: String,
    stream: zbus::proxy::SignalStream<'static>,
}

impl StateChanges {
    /// Subscribes, then reads the state, so that no change is missed.
    pub(crate) async fn listen(manager: &Manager, unit: &UnitName) -> Result<Self, CallError> {
        manager.subscribe().await?;
        let properties = zbus::proxy::Builder::<zbus::Proxy<'static>>::new(manager.connection())
            .destination("org.freedesktop.systemd1")
            .path(unit.object_path())
            .interface("org.freedesktop.DBus.Properties")
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await?;
        let of_units = [(0u8, "org.freedesktop.systemd1.Unit")];
        let stream = properties.receive_signal_with_args("PropertiesChanged", &of_units).await?;
        let state = manager.active_state(unit).await?;
        Ok(Self { state, stream })
    }

    /// The next change of anything of it.
    pub(crate) async fn next(&mut self) {
        let _ = super::jobs::next(&mut self.stream).await;
    }
}
