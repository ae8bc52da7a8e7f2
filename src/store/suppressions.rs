use super::Error;
use crate::domain::Delta;
use rusqlite::Connection;
pub fn write(_: &Connection, _: &Delta) -> Result<(), Error> {
    Ok(())
}
pub fn clear(_: &Connection) -> Result<(), Error> {
    Ok(())
}
pub fn rewrite_lifts(_: &Connection) -> Result<(), Error> {
    Ok(())
}
