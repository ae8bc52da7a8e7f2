//! Parquet: columns in groups of rows, so that memory is bounded, compressed by zstd.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use actix_web::web::Bytes;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type as Schema, TypePtr};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::{Broken, Found, What, each};
use crate::store;
use crate::store::query::rows;
use crate::store::query::typed::{self, Names, Type, Typed};

/// A group of rows has at most so many, and ends before once its text is so long, in bytes.
const GROUP_ROWS: usize = 100_000;
const GROUP_TEXT_BYTES: usize = 32 << 20;

/// Writes an export as Parquet, and returns its number of rows. `None`: it has no such names.
pub fn write(
    connection: &Connection,
    what: &What,
    names: Names,
    out: impl Write + Send,
) -> Result<Option<u64>, Broken> {
    let Some(typed) = Typed::of(connection, what.view(), names)? else { return Ok(None) };
    let mut sheet = Sheet::new(&typed.columns, out)?;
    let rows = each(connection, what, &typed.select, |found| {
        let row = match found {
            Found::At(cursor) => typed.row(connection, cursor)?,
            Found::Row(row) => rows::values(row).map_err(store::Error::from)?,
        };
        Ok(sheet.push(row)?)
    })?;
    sheet.end()?;
    Ok(Some(rows))
}

impl From<ParquetError> for Broken {
    fn from(error: ParquetError) -> Broken {
        Broken::Reader(match error {
            ParquetError::External(error) => error.downcast().map_or_else(io::Error::other, |error| *error),
            error => io::Error::other(error),
        })
    }
}

struct Sheet<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: usize,
    text_bytes: usize,
}

/// The values of a group of rows, without nulls.
struct Column {
    kind: Type,
    /// 0 for null, else 1.
    levels: Vec<i16>,
    numbers: Vec<i64>,
    flags: Vec<bool>,
    /// All text, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl<W: Write + Send> Sheet<W> {
    fn new(columns: &[typed::Column], out: W) -> Result<Sheet<W>, ParquetError> {
        let fields = columns.iter().map(field).collect::<Result<_, _>>()?;
        let schema = Schema::group_type_builder("waybill").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("waybill ", env!("CARGO_PKG_VERSION")).into());
        let file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build()))?;
        let columns = columns.iter().map(|column| Column::new(column.kind)).collect();
        Ok(Sheet { file, columns, rows: 0, text_bytes: 0 })
    }

    fn push(&mut self, row: Vec<Value>) -> Result<(), ParquetError> {
        for (column, value) in self.columns.iter_mut().zip(row) {
            self.text_bytes += column.push(value);
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS || self.text_bytes >= GROUP_TEXT_BYTES { self.end_group() } else { Ok(()) }
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        (self.rows, self.text_bytes) = (0, 0);
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            column.write(&mut group)?;
        }
        group.close().map(drop)
    }

    fn end(mut self) -> Result<(), ParquetError> {
        if self.rows > 0 {
            self.end_group()?;
        }
        self.file.finish()?;
        Ok(self.file.inner_mut().flush()?)
    }
}

fn field(column: &typed::Column) -> Result<TypePtr, ParquetError> {
    let (physical, logical) = match column.kind {
        Type::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Type::Integer => (Physical::INT64, None),
        Type::Boolean => (Physical::BOOLEAN, None),
        Type::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
    };
    let field = Schema::primitive_type_builder(&column.name, physical).with_repetition(Repetition::OPTIONAL);
    Ok(Arc::new(field.with_logical_type(logical).build()?))
}

impl Column {
    fn new(kind: Type) -> Column {
        let (levels, numbers, flags) = (Vec::new(), Vec::new(), Vec::new());
        Column { kind, levels, numbers, flags, text: Vec::new(), ends: Vec::new() }
    }

    /// How many bytes of text it took.
    fn push(&mut self, value: Value) -> usize {
        let before = self.text.len();
        let mut level = 1;
        match (self.kind, value) {
            (Type::Text, Value::Text(text)) => self.push_text(&text),
            (Type::Text, Value::Integer(number)) => self.push_text(&number.to_string()),
            (Type::Integer | Type::Time, Value::Integer(number)) => self.numbers.push(number),
            (Type::Boolean, Value::Integer(number)) => self.flags.push(number != 0),
            // null; the tables are strict, so no value of another type stands here
            _ => level = 0,
        }
        self.levels.push(level);
        self.text.len() - before
    }

    fn push_text(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
        self.ends.push(self.text.len());
    }

    /// Writes them, and begins again.
    fn write<W: Write + Send>(&mut self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), ParquetError> {
        let levels = mem::take(&mut self.levels);
        match self.kind {
            Type::Integer | Type::Time => write_column::<Int64Type, W>(group, &mem::take(&mut self.numbers), &levels),
            Type::Boolean => write_column::<BoolType, W>(group, &mem::take(&mut self.flags), &levels),
            Type::Text => {
                let (text, mut from) = (Bytes::from(mem::take(&mut self.text)), 0);
                let values = mem::take(&mut self.ends).into_iter().map(|end| {
                    let value = text.slice(from..end);
                    from = end;
                    ByteArray::from(value)
                });
                write_column::<ByteArrayType, W>(group, &values.collect::<Vec<_>>(), &levels)
            }
        }
    }
}

fn write_column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: &[i16],
) -> Result<(), ParquetError> {
    let column = group.next_column()?;
    let mut column = column.ok_or_else(|| ParquetError::General("invariant: the schema has these columns".into()))?;
    column.typed::<T>().write_batch(values, Some(levels), None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;

    #[test]
    fn many_rows_are_written_in_groups() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE events_v1 (id INTEGER, text TEXT)").unwrap();
        let typed = Typed::of(&connection, typed::View::Events, Names::Waybill).unwrap().unwrap();
        let mut file = Vec::new();
        let mut sheet = Sheet::new(&typed.columns, &mut file).unwrap();
        for number in 0..=GROUP_ROWS as i64 {
            let text = if number % 2 == 0 { Value::Null } else { Value::Text(format!("row {number}")) };
            sheet.push(vec![Value::Integer(number), text]).unwrap();
        }
        // a group ends early where its text is long
        let long = "a".repeat(GROUP_TEXT_BYTES);
        for number in 0..2 {
            sheet.push(vec![Value::Integer(number), Value::Text(long.clone())]).unwrap();
        }
        sheet.end().unwrap();
        let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
        let groups = reader.metadata().row_groups().iter().map(|group| group.num_rows());
        assert_eq!(groups.collect::<Vec<_>>(), [GROUP_ROWS as i64, 2, 1]);
        for (number, row) in reader.get_row_iter(None).unwrap().take(GROUP_ROWS + 1).enumerate() {
            let row = row.unwrap();
            assert_eq!(row.get_long(0).unwrap(), number as i64);
            let text = if number % 2 == 0 { None } else { Some(format!("row {number}")) };
            assert_eq!(row.get_string(1).ok(), text.as_ref());
        }
    }
}
