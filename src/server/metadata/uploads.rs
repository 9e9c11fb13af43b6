//! Uploads and their parts.

use super::Store;
use crate::wire::UploadPart;

/// An uploaded object, or one that is being uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadRow {
    pub(crate) object_key: String,
    pub(crate) project_id: String,
    /// Size in bytes, once the upload is complete.
    pub(crate) size: Option<u64>,
    /// Sizes of a multipart upload.
    pub(crate) in_parts: Option<MultipartSpec>,
    /// Id of a multipart upload in object storage; `None` for uploads to disk.
    pub(crate) storage_id: Option<String>,
}

/// How an object is divided into parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MultipartSpec {
    /// Size of the object, in bytes.
    pub(crate) size: u64,
    /// Size of every part but the last, in bytes.
    pub(crate) part_size: u64,
}

impl MultipartSpec {
    /// Number of parts.
    pub(crate) fn count(self) -> u32 {
        u32::try_from(self.size.div_ceil(self.part_size)).unwrap_or(u32::MAX)
    }

    /// Offset and length of a part, in bytes; `None` if the part does not exist. Parts are counted
    /// from 1.
    pub(crate) fn range(self, part: u32) -> Option<(u64, u64)> {
        let start = u64::from(part.checked_sub(1)?) * self.part_size;
        (start < self.size).then(|| (start, (self.size - start).min(self.part_size)))
    }
}

/// Marks an upload as discarded; its row is kept until its bytes are removed.
const DISCARDED: &str = "touched_at = '-infinity'";
const ACTIVE: &str = "touched_at > '-infinity'";

const COLUMNS: &str = "object_key, project_id, size_bytes, declared_bytes, part_bytes, storage_id";

/// Selects an upload `u` that is abandoned or discarded.
const ABANDONED: &str = "touched_at < now() - interval '2 days'
    and not exists (select from jobs j where j.state in ('pending', 'running') and j.request->>'upload_key' = u.object_key)
    and not exists (select from jobs j where j.request->>'upload_key' = u.object_key
                    and j.completed_at > now() - interval '1 day')";

impl Store {
    /// Stores an upload of a project, in one request or in parts.
    pub(crate) async fn add_upload(
        &self,
        key: &str,
        project: &str,
        in_parts: Option<MultipartSpec>,
    ) -> anyhow::Result<()> {
        let sql = "insert into uploads (object_key, project_id, declared_bytes, part_bytes) values ($1, $2, $3, $4)";
        let (size, part_size) =
            (in_parts.map(|upload| signed(upload.size)), in_parts.map(|upload| signed(upload.part_size)));
        self.client().await?.execute(sql, &[&key, &project, &size, &part_size]).await?;
        Ok(())
    }

    /// An upload by its object key.
    pub(crate) async fn upload(&self, key: &str) -> anyhow::Result<Option<UploadRow>> {
        if key.contains('\0') {
            return Ok(None); // Postgres text cannot contain NUL
        }
        let sql = format!("select {COLUMNS} from uploads where object_key = $1 and {ACTIVE}");
        Ok(self.client().await?.query_opt(&sql, &[&key]).await?.as_ref().map(from_row))
    }

    /// Stores the id of a multipart upload in object storage.
    pub(crate) async fn set_storage_id(&self, key: &str, id: &str) -> anyhow::Result<()> {
        self.client().await?.execute("update uploads set storage_id = $2 where object_key = $1", &[&key, &id]).await?;
        Ok(())
    }

    /// Marks an upload as complete, with its size in bytes. False if it was discarded.
    pub(crate) async fn finish_upload(&self, key: &str, size: u64) -> anyhow::Result<bool> {
        let sql = format!("update uploads set size_bytes = $2, touched_at = now() where object_key = $1 and {ACTIVE}");
        Ok(self.client().await?.execute(&sql, &[&key, &signed(size)]).await? == 1)
    }

    /// Discards an incomplete upload, which can then no longer be found. False if it is complete. The
    /// caller removes its bytes, then its row.
    pub(crate) async fn abandon_upload(&self, key: &str) -> anyhow::Result<bool> {
        let sql = format!("update uploads set {DISCARDED} where object_key = $1 and size_bytes is null");
        Ok(self.client().await?.execute(&sql, &[&key]).await? == 1)
    }

    /// Records that an upload is still active.
    pub(crate) async fn touch_upload(&self, key: &str) -> anyhow::Result<()> {
        let sql = format!("update uploads set touched_at = now() where object_key = $1 and {ACTIVE}");
        self.client().await?.execute(&sql, &[&key]).await?;
        Ok(())
    }

    /// Bytes declared for a project's incomplete multipart uploads.
    pub(crate) async fn reserved_bytes(&self, project: &str) -> anyhow::Result<u64> {
        let sql = format!(
            "select coalesce(sum(declared_bytes), 0)::bigint from uploads
             where project_id = $1 and size_bytes is null and {ACTIVE}"
        );
        let sum: i64 = self.client().await?.query_one(&sql, &[&project]).await?.get(0);
        Ok(u64::try_from(sum).unwrap_or_default())
    }

    /// The keys of all objects, complete or not.
    pub(crate) async fn upload_keys(&self) -> anyhow::Result<Vec<String>> {
        let rows = self.client().await?.query("select object_key from uploads", &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Deletes the row of an object, and its parts.
    pub(crate) async fn remove_upload(&self, key: &str) -> anyhow::Result<()> {
        self.client().await?.execute("delete from uploads where object_key = $1", &[&key]).await?;
        Ok(())
    }

    /// Stores a received part. False if the upload was completed or discarded.
    pub(crate) async fn add_part(&self, key: &str, part: &UploadPart) -> anyhow::Result<bool> {
        let sql = format!(
            "with upload as (update uploads set touched_at = now()
                             where object_key = $1 and size_bytes is null and {ACTIVE} returning object_key)
             insert into upload_parts (object_key, part_number, size_bytes, crc64nvme)
             select object_key, $2, $3, $4 from upload
             on conflict (object_key, part_number)
             do update set size_bytes = excluded.size_bytes, crc64nvme = excluded.crc64nvme"
        );
        let number = i32::try_from(part.part_number)?;
        let sum = part.checksum_crc64nvme.as_deref().unwrap_or_default();
        let added = self.client().await?.execute(&sql, &[&key, &number, &signed(part.size_bytes), &sum]).await?;
        Ok(added == 1)
    }

    /// Deletes a part that is about to be overwritten.
    pub(crate) async fn remove_part(&self, key: &str, part: u32) -> anyhow::Result<()> {
        let sql = "delete from upload_parts where object_key = $1 and part_number = $2";
        self.client().await?.execute(sql, &[&key, &i32::try_from(part)?]).await?;
        Ok(())
    }

    /// The received parts, in order.
    pub(crate) async fn parts(&self, key: &str) -> anyhow::Result<Vec<UploadPart>> {
        let sql =
            "select part_number, size_bytes, crc64nvme from upload_parts where object_key = $1 order by part_number";
        let rows = self.client().await?.query(sql, &[&key]).await?;
        let part = |row: &tokio_postgres::Row| UploadPart {
            part_number: u32::try_from(row.get::<_, i32>(0)).unwrap_or_default(),
            size_bytes: u64::try_from(row.get::<_, i64>(1)).unwrap_or_default(),
            etag: None,
            checksum_crc64nvme: Some(row.get(2)),
        };
        Ok(rows.iter().map(part).collect())
    }

    /// Discards an upload if it is still abandoned, and returns it.
    pub(crate) async fn discard_abandoned(&self, key: &str) -> anyhow::Result<Option<UploadRow>> {
        let sql = format!("update uploads u set {DISCARDED} where object_key = $1 and {ABANDONED} returning {COLUMNS}");
        Ok(self.client().await?.query_opt(&sql, &[&key]).await?.as_ref().map(from_row))
    }

    /// Keys of up to `most` uploads that were idle for two days, enough for the slowest upload, and that
    /// no job needs or has just used.
    pub(crate) async fn abandoned_uploads(&self, most: i64) -> anyhow::Result<Vec<String>> {
        // In random order, so that uploads that cannot be removed do not block the others.
        let sql = format!("select object_key from uploads u where {ABANDONED} order by random() limit $1");
        let rows = self.client().await?.query(&sql, &[&most]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

fn from_row(row: &tokio_postgres::Row) -> UploadRow {
    let size = |column| row.get::<_, Option<i64>>(column).and_then(|size| u64::try_from(size).ok());
    UploadRow {
        object_key: row.get(0),
        project_id: row.get(1),
        size: size(2),
        in_parts: size(3).zip(size(4)).map(|(size, part_size)| MultipartSpec { size, part_size }),
        storage_id: row.get(5),
    }
}

/// Converts a number of bytes to the signed integers of Postgres.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_whole_upload() {
        let upload = MultipartSpec { size: 25, part_size: 10 };
        assert_eq!(upload.count(), 3);
        let ranges: Vec<_> = (0..5).map(|part| upload.range(part)).collect();
        assert_eq!(ranges, [None, Some((0, 10)), Some((10, 10)), Some((20, 5)), None]);
    }
}
