use super::Store;

impl Store {
    /// Remembers an object that a project may upload.
    pub(crate) async fn add_upload(&self, key: &str, project: &str) -> anyhow::Result<()> {
        let sql = "insert into uploads (object_key, project_id) values ($1, $2)";
        self.client().await?.execute(sql, &[&key, &project]).await?;
        Ok(())
    }

    /// The project that an object belongs to, and whether the object is there already.
    pub(crate) async fn upload(&self, key: &str) -> anyhow::Result<Option<(String, bool)>> {
        let sql = "select project_id, size_bytes is not null from uploads where object_key = $1";
        Ok(self.client().await?.query_opt(sql, &[&key]).await?.map(|row| (row.get(0), row.get(1))))
    }

    /// Remembers that an object is there, with its size in bytes. False when it is not wanted
    /// any more.
    pub(crate) async fn finish_upload(&self, key: &str, size: u64) -> anyhow::Result<bool> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let sql = "update uploads set size_bytes = $2 where object_key = $1";
        Ok(self.client().await?.execute(sql, &[&key, &size]).await? == 1)
    }

    /// Size of an object of this project in bytes; `None` when it is not there.
    pub(crate) async fn upload_size(&self, key: &str, project: &str) -> anyhow::Result<Option<u64>> {
        let sql = "select size_bytes from uploads where object_key = $1 and project_id = $2";
        let row = self.client().await?.query_opt(sql, &[&key, &project]).await?;
        Ok(row.and_then(|row| row.get::<_, Option<i64>>(0)).and_then(|size| u64::try_from(size).ok()))
    }

    /// Forgets an object.
    pub(crate) async fn remove_upload(&self, key: &str) -> anyhow::Result<()> {
        self.client().await?.execute("delete from uploads where object_key = $1", &[&key]).await?;
        Ok(())
    }

    /// Objects of slots that were given out two days ago, which is time for the slowest upload,
    /// and that no job waits for or has just used.
    pub(crate) async fn abandoned_uploads(&self) -> anyhow::Result<Vec<String>> {
        let sql = "select object_key from uploads u where created_at < now() - interval '2 days'
                   and not exists (select from jobs j where j.state in ('pending', 'running')
                                   and j.request->>'upload_key' = u.object_key)
                   and not exists (select from jobs j where j.request->>'upload_key' = u.object_key
                                   and j.completed_at > now() - interval '1 day')";
        let rows = self.client().await?.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
