use super::Error;
use crate::domain::Source;
use rusqlite::Connection;
pub fn set_name(_: &Connection, _: &Source, _: Option<&str>) -> Result<(), Error> {
    Ok(())
}
