//! Columns of a delivery that several questions read.

use crate::domain::{Counted, FirstTimes};

/// The name of the source of a delivery `d`.
pub(super) const SOURCE_NAME: &str =
    "(SELECT n.name FROM source_names n WHERE n.source_kind = d.source_kind AND n.source_id = d.source_id)";

/// The columns of the first times of a delivery `d`, in the order of [`Counted::ALL`].
pub(super) fn first_time_columns() -> String {
    Counted::ALL.map(|counted| format!("d.{}_at_ms", counted.name())).join(", ")
}

/// Reads them, from the column `first` on.
pub(super) fn first_times(row: &rusqlite::Row, first: usize) -> rusqlite::Result<FirstTimes> {
    let mut times = FirstTimes::default();
    for (place, counted) in Counted::ALL.into_iter().enumerate() {
        times.set(counted, row.get(first + place)?);
    }
    Ok(times)
}
